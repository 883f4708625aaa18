"""Phases 9 and 10: what may act, why, and how it is proved; pure functions over plain values."""
