"""The night's vetoes: every rule judged on what earlier sessions left, and which vetoes stand."""

from instgov_dagster.loop.steps.vetoes.findings import find_vetoes, settle

__all__ = ["find_vetoes", "settle"]
