"""Words only: enums, reason codes, errors and frozen dataclasses; the standard library alone."""
