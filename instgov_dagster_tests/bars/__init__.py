"""Tests of the bars wing: phases 1 to 3 of the roadmap."""
