"""Survival: the same nights and decisions walked through history, day by day."""
