"""Tests of the governance wing."""
