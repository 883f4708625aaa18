"""Tests of the vetoes."""
