"""The inside of one decision: the book at its marks, the bids, and the cases governance reads."""
