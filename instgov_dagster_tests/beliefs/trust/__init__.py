"""Tests of the beliefs wing."""
