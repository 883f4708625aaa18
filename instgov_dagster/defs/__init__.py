"""The Dagster shell: assets, checks, jobs, schedules, sensors. No decision is made here."""
