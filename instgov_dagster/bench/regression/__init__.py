"""`instgov bench all`: every bench small, its ratios held against those committed."""
