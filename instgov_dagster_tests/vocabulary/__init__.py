"""Tests of the words: enums, bounds, reason codes."""
