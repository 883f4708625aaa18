"""When each class trades, when a session counts as closed, and what window a night looks at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

#: Bounds of every calendar. The library's own default begins 20 years ago and raises before that.
CALENDAR_START: Final = date(1990, 1, 1)
CALENDAR_END: Final = date(2040, 12, 31)

_EXCHANGE: Final = "XNYS"
_DAY: Final = np.timedelta64(1, "D")
_SLIVER: Final = 1e-9
_FRIDAY: Final = 4
_WEEK: Final = 7
# 1970-01-01, day 0 of datetime64, was a Thursday: the fourth day of a week that begins on Monday.
_WEEKDAY_OF_EPOCH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTable:
    """The sessions of one calendar: dates (D), opens and closes (us, UTC), all ``(n,)``, sorted."""

    dates: NDArray[np.datetime64]
    opens: NDArray[np.datetime64]
    closes: NDArray[np.datetime64]


def expected_sessions(
    asset_class: AssetClass | None, start: date, end_exclusive: date
) -> NDArray[np.datetime64]:
    """Give the sessions a class is expected to have in ``[start, end_exclusive)``.

    STOCKS, COMMODITIES (Yahoo ``=F``) and references (``None``) follow the New York exchange, FX
    every weekday, CRYPTO every day.

    Raises
    ------
    InputError
        If the span leaves the bounds of the calendars.
    """
    _require_in_bounds(start)
    if end_exclusive > CALENDAR_END + timedelta(days=1):
        raise InputError(f"date must be <= {CALENDAR_END}, was {end_exclusive}")
    dates = session_table(asset_class).dates
    low, high = np.searchsorted(dates, np.array([start, end_exclusive], dtype="datetime64[D]"))
    return dates[low:high]


def is_session(asset_class: AssetClass | None, day: date) -> bool:
    """Tell whether a class trades on a day."""
    return bool(expected_sessions(asset_class, day, day + timedelta(days=1)).size)


def session_known_at(
    asset_class: AssetClass | None, dates: NDArray[np.datetime64], *, close_delay_hours: float
) -> NDArray[np.datetime64]:
    """Give the instants (us, UTC) at which the bars of these dates are known, shape of ``dates``.

    A session's bar is known ``close_delay_hours`` after its close; a bar off the calendar the
    same time after the midnight that ends its date.
    """
    table = session_table(asset_class)
    days = dates.astype("datetime64[D]")
    place = np.minimum(np.searchsorted(table.dates, days), table.dates.size - 1)
    midnight = (days + _DAY).astype("datetime64[us]")
    closes = np.where(table.dates[place] == days, table.closes[place], midnight)
    return _later(closes, _hours(close_delay_hours))


def last_closed_session(
    asset_class: AssetClass | None, instant: datetime, *, close_delay_hours: float
) -> date:
    """Give the last session whose close plus the delay is not after an instant.

    Raises
    ------
    InputError
        If the instant has no time zone or no session of the calendar closed before it.
    """
    table = session_table(asset_class)
    limit = _utc64(instant) - _hours(close_delay_hours)
    place = int(np.searchsorted(table.closes, limit, side="right")) - 1
    if place < 0 or place == table.dates.size - 1:
        raise InputError(
            f"instant must be between {CALENDAR_START} and {CALENDAR_END}, was {instant}"
        )
    return _as_date(table.dates[place])


def knowledge_instant(asof: date, policy: HistoryPolicy) -> datetime:
    """Give the instant whose knowledge the night of ``asof`` uses (06:00 UTC of that day)."""
    return datetime.combine(asof, time(policy.knowledge_hour_utc), tzinfo=UTC)


def history_window(asof: date, policy: HistoryPolicy) -> tuple[date, date]:
    """Give the window ``[asof - 1825 days, asof)`` of the night of ``asof`` (roadmap 2.2)."""
    return asof - timedelta(days=policy.window_days), asof


def stress_window(asof: date, policy: HistoryPolicy) -> tuple[date, date]:
    """Give what lies before the night's window and may be stressed on, within the calendars."""
    start, _ = history_window(asof, policy)
    earliest = asof - timedelta(days=policy.stress_window_days)
    return min(max(earliest, CALENDAR_START), start), start


def last_closed_date(asset_class: AssetClass | None, asof: date, policy: HistoryPolicy) -> date:
    """Give the last session of a class that the night of ``asof`` may know and look at."""
    closed = last_closed_session(
        asset_class, knowledge_instant(asof, policy), close_delay_hours=policy.close_delay_hours
    )
    if closed < asof:
        return closed
    return _as_date(expected_sessions(asset_class, CALENDAR_START, asof)[-1])


def required_sessions(expected: int, policy: HistoryPolicy) -> int:
    """Give how many of the expected sessions must be there: ``floor(0.99 * expected)``."""
    # The sliver keeps 0.99 * 700 = 692.9999... from losing a session to binary fractions.
    return math.floor(policy.coverage * expected + _SLIVER)


def xnys_open(asof: date) -> datetime:
    """Give the open of the New York exchange on a day, or on the next day it trades."""
    return _exchange_instant(asof, lambda table: table.opens)


def xnys_close(asof: date) -> datetime:
    """Give the close of the New York exchange on a day, or on the next day it trades."""
    return _exchange_instant(asof, lambda table: table.closes)


def is_market_open(asset_class: AssetClass, instant: datetime) -> bool:
    """Tell whether a class trades at an instant: its open counts, its close does not.

    STOCKS and COMMODITIES trade in the hours of the New York exchange, FX from Monday to Friday,
    UTC, CRYPTO always.

    Raises
    ------
    InputError
        If the instant has no time zone.
    """
    return open_since(asset_class, instant) is not None


def open_since(asset_class: AssetClass, instant: datetime) -> datetime | None:
    """Give the open of the session a class trades in at an instant; None while it is closed.

    Raises
    ------
    InputError
        If the instant has no time zone.
    """
    table = session_table(asset_class)
    now = _utc64(instant)
    place = int(np.searchsorted(table.opens, now, side="right")) - 1
    if place < 0 or not now < table.closes[place]:
        return None
    opened: datetime = table.opens[place].astype("datetime64[us]").astype(datetime)
    return opened.replace(tzinfo=UTC)


def open_mask(classes: Sequence[AssetClass], instant: datetime) -> NDArray[np.bool_] | None:
    """Tell whose markets trade at an instant, shape ``(n,)``; None where all do."""
    is_open = {one: is_market_open(one, instant) for one in set(classes)}
    return None if all(is_open.values()) else np.array([is_open[one] for one in classes])


def is_ingestion_open(instant: datetime, policy: HistoryPolicy) -> bool:
    """Tell whether the live market may be ingested: from close + 2 h to the next open - 1 h."""
    table = session_table(None)
    now = _utc64(instant)
    place = int(np.searchsorted(table.opens, now, side="right")) - 1
    if place < 0 or place + 1 >= table.dates.size:
        return False
    settled = table.closes[place] + _hours(policy.close_delay_hours)
    too_late = table.opens[place + 1] - _hours(policy.ingestion_closes_before_open_hours)
    return bool(settled <= now <= too_late)


@lru_cache(maxsize=8)
def session_table(asset_class: AssetClass | None) -> SessionTable:
    """Build the sessions of a class once, between the fixed bounds; ``None`` is a reference."""
    if asset_class is AssetClass.FX:
        return _round_the_clock(is_weekend_open=False)
    if asset_class is AssetClass.CRYPTO:
        return _round_the_clock(is_weekend_open=True)
    return _exchange_table()


@lru_cache(maxsize=1)
def _exchange_table() -> SessionTable:
    # pandas comes with the calendars and is slow to import: only a night pays for it.
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(
        _EXCHANGE, start=CALENDAR_START.isoformat(), end=CALENDAR_END.isoformat()
    )
    return SessionTable(
        dates=calendar.sessions.to_numpy().astype("datetime64[D]"),
        opens=calendar.opens.dt.tz_localize(None).to_numpy().astype("datetime64[us]"),
        closes=calendar.closes.dt.tz_localize(None).to_numpy().astype("datetime64[us]"),
    )


def _round_the_clock(*, is_weekend_open: bool) -> SessionTable:
    days = np.arange(np.datetime64(CALENDAR_START), np.datetime64(CALENDAR_END) + _DAY)
    if not is_weekend_open:
        weekday = (days.astype(np.int64) + _WEEKDAY_OF_EPOCH) % _WEEK
        days = days[weekday <= _FRIDAY]
    opens = days.astype("datetime64[us]")
    return SessionTable(dates=days, opens=opens, closes=_later(opens, _DAY))


def _exchange_instant(
    asof: date, instants: Callable[[SessionTable], NDArray[np.datetime64]]
) -> datetime:
    _require_in_bounds(asof)
    table = session_table(None)
    place = int(np.searchsorted(table.dates, np.datetime64(asof)))
    if place == table.dates.size:
        raise InputError(f"date must be <= {CALENDAR_END}, was {asof}")
    moment: datetime = instants(table)[place].astype(datetime)
    return moment.replace(tzinfo=UTC)


def _require_in_bounds(day: date) -> None:
    if not CALENDAR_START <= day <= CALENDAR_END:
        raise InputError(
            f"date must be between {CALENDAR_START} and {CALENDAR_END} "
            f"(a window of history included), was {day}"
        )


def _utc64(instant: datetime) -> np.datetime64:
    if instant.tzinfo is None:
        raise InputError(f"instant must carry a time zone, was {instant}")
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def _later(instants: NDArray[np.datetime64], delay: np.timedelta64) -> NDArray[np.datetime64]:
    moved: NDArray[np.datetime64] = np.add(instants, delay)
    return moved


def _hours(hours: float) -> np.timedelta64:
    return np.timedelta64(round(hours * 3_600_000_000), "us")


def _as_date(day: np.datetime64) -> date:
    value: date = day.astype("datetime64[D]").astype(date)
    return value
