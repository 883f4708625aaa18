"""Tests of the state of the system and its causes."""
