"""Tests of the quality score: rules, volume, score, real bars."""
