"""Fire drills: in a scratch home, a fault per control, and whether the control fired."""
