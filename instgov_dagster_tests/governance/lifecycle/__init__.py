"""Tests of the life of a strategy."""
