"""A session as a fold of recorded inputs: its state, its book-keeping and its replay."""
