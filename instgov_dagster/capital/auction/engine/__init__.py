"""The exact hot engine of the auction: one linear program kept, grown only where it is violated."""
