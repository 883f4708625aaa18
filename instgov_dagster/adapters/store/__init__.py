"""The warehouse, the projection, the published snapshots and the raw archive."""
