"""What nights of a walk know: bars as they were known, and all that follows before any book."""
