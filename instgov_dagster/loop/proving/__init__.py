"""What proves the system about itself: the no-bypass proof and the fire drills of its controls."""
