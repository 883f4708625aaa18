"""What the broker says held against what the journal says: leftovers, and the four invariants."""
