"""A night at work: its ingestion or the shards of it, its steps, what it publishes."""
