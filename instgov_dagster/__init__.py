"""Institutional trading governance as Dagster software-defined assets."""
