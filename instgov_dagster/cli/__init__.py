"""The command line: a thin face over the same jobs and pure functions as the UI."""

from instgov_dagster.cli.app import app

__all__ = ["app"]
