"""The repository itself: its roadmap, its documents, its own rules."""
