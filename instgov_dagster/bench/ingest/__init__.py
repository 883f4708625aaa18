"""Ingestion measured: two nights beside pandas on sqlite, and shards beside one process."""
