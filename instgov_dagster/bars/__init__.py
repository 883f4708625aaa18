"""Phases 1 to 3: providers, ingestion, quality, history; pure functions over frames of bars."""
