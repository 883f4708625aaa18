"""What every word of governance refuses at birth; no policy numbers live here."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from instgov_dagster.vocabulary.reasons import ReasonCode


def require_codes(name: str, codes: tuple[ReasonCode, ...]) -> None:
    """Refuse anything but a tuple of at least one reason code."""
    if not isinstance(codes, tuple) or not codes:
        raise ValueError(f"{name} must be a tuple of at least one reason code, was {codes!r}")
    for code in codes:
        if type(code) is not ReasonCode:
            raise ValueError(f"{name} must hold reason codes, was {code!r}")


def require_finite(name: str, values: Iterable[tuple[str, float | None]]) -> None:
    """Refuse a number that is NaN or infinite; None is a number not given."""
    for field, value in values:
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}.{field} must be finite, was {value!r}")


def require_utc(name: str, instant: datetime) -> None:
    """Refuse an instant that does not say UTC itself."""
    if instant.tzinfo is not UTC and instant.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an instant in UTC, was {instant!r}")
