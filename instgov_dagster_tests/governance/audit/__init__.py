"""Tests of the canonical text and the hashes."""
