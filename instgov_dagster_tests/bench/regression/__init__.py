"""Tests of the comparison with committed ratios."""
