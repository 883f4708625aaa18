"""The soak: the live loop under `dagster dev`, for minutes or hours, and harm done to it."""
