"""Tests of the benches of ingestion."""
