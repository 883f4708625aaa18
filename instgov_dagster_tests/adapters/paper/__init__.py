"""Tests of the paper account on disk."""
