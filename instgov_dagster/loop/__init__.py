"""Phase 3 and the two pure compositions: night and cycle, then the session that runs them."""
