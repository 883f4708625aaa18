"""Tests of the words of governance."""
