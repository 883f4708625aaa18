"""What stays hot inside a session: the tape of prices and every model folded along it."""
