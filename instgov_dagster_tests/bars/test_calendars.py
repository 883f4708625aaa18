"""Sessions, closes and windows agree with the exchange's own calendar and with hand-picked days."""

from datetime import UTC, date, datetime, timedelta

import exchange_calendars
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.calendars import (
    CALENDAR_END,
    CALENDAR_START,
    expected_sessions,
    history_window,
    is_ingestion_open,
    is_market_open,
    is_session,
    knowledge_instant,
    last_closed_date,
    last_closed_session,
    open_mask,
    required_sessions,
    session_known_at,
    session_table,
    xnys_close,
    xnys_open,
)
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

POLICY = HistoryPolicy()
DAYS = st.dates(date(1996, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(AssetClass.STOCKS, "XNYS"), (AssetClass.FX, "24/5"), (AssetClass.CRYPTO, "24/7")],
)
def test_sessions_and_closes_are_those_of_the_calendar_library(kind: AssetClass, name: str) -> None:
    oracle = exchange_calendars.get_calendar(name, start="2019-01-01", end="2024-12-31")
    mine = expected_sessions(kind, date(2019, 1, 1), date(2025, 1, 1))
    assert np.array_equal(mine, oracle.sessions.to_numpy().astype("datetime64[D]"))
    closes = oracle.closes.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    assert np.array_equal(session_known_at(kind, mine, close_delay_hours=0.0), closes)


def test_commodities_and_references_follow_the_exchange() -> None:
    for kind in (AssetClass.COMMODITIES, None):
        assert np.array_equal(session_table(kind).dates, session_table(AssetClass.STOCKS).dates)


@pytest.mark.roadmap("2.2")
def test_the_window_is_1825_days_with_the_end_left_out() -> None:
    assert history_window(date(2024, 12, 6), POLICY) == (date(2019, 12, 8), date(2024, 12, 6))


@pytest.mark.roadmap("2.4")
def test_five_years_hold_1253_to_1263_sessions_and_seldom_the_nominal_1260() -> None:
    days = expected_sessions(AssetClass.STOCKS, date(2000, 1, 1), date(2027, 1, 1))
    counts = np.array(
        [
            expected_sessions(AssetClass.STOCKS, *history_window(day, POLICY)).size
            for day in days.tolist()
        ]
    )
    assert (counts.min(), counts.max()) == (1253, 1263)
    assert 0.06 < np.mean(counts >= POLICY.nominal_sessions) < 0.08


def test_required_is_99_percent_rounded_down() -> None:
    assert required_sessions(1257, POLICY) == 1244
    assert required_sessions(1304, POLICY) == 1290
    assert required_sessions(1825, POLICY) == 1806
    assert required_sessions(100, POLICY) == 99


def test_a_session_is_closed_two_hours_after_its_bell() -> None:
    friday_bell = datetime(2024, 12, 6, 21, 0, tzinfo=UTC)
    before = friday_bell + timedelta(hours=1, minutes=59)
    assert last_closed_session(None, before, close_delay_hours=2.0) == date(2024, 12, 5)
    after = friday_bell + timedelta(hours=2)
    assert last_closed_session(None, after, close_delay_hours=2.0) == date(2024, 12, 6)


def test_a_monday_night_knows_friday_for_fx_and_sunday_for_crypto() -> None:
    monday = date(2024, 12, 9)
    assert last_closed_date(AssetClass.STOCKS, monday, POLICY) == date(2024, 12, 6)
    assert last_closed_date(AssetClass.FX, monday, POLICY) == date(2024, 12, 6)
    assert last_closed_date(AssetClass.CRYPTO, monday, POLICY) == date(2024, 12, 8)


@given(DAYS)
def test_the_last_closed_session_is_known_at_the_instant_and_before_the_day(day: date) -> None:
    instant = np.datetime64(knowledge_instant(day, POLICY).replace(tzinfo=None), "us")
    for kind in AssetClass:
        last = last_closed_date(kind, day, POLICY)
        known = session_known_at(
            kind, np.array([last], dtype="datetime64[D]"), close_delay_hours=2.0
        )
        assert last < day
        assert known[0] <= instant


def test_a_late_knowledge_hour_never_looks_at_the_day_traded() -> None:
    late = HistoryPolicy(knowledge_hour_utc=23, close_delay_hours=0.0)
    assert last_closed_date(AssetClass.STOCKS, date(2024, 12, 6), late) == date(2024, 12, 5)


def test_an_off_session_bar_is_known_two_hours_after_its_midnight() -> None:
    saturday = np.array(["2024-12-07"], dtype="datetime64[D]")
    for kind in (AssetClass.STOCKS, AssetClass.FX):
        assert session_known_at(kind, saturday, close_delay_hours=2.0)[0] == np.datetime64(
            "2024-12-08T02:00", "us"
        )


def test_a_half_day_closes_early() -> None:
    assert xnys_close(date(2024, 11, 29)) == datetime(2024, 11, 29, 18, 0, tzinfo=UTC)
    assert xnys_open(date(2024, 7, 1)) == datetime(2024, 7, 1, 13, 30, tzinfo=UTC)


def test_the_open_of_a_holiday_is_the_next_session_s() -> None:
    assert xnys_open(date(2024, 12, 25)) == datetime(2024, 12, 26, 14, 30, tzinfo=UTC)


def test_each_class_trades_on_its_own_days() -> None:
    christmas, saturday = date(2024, 12, 25), date(2024, 12, 7)
    assert [is_session(kind, christmas) for kind in AssetClass] == [False, True, True, False]
    assert [is_session(kind, saturday) for kind in AssetClass] == [False, False, True, False]


@pytest.mark.roadmap("2.1")
@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (datetime(2024, 12, 5, 22, 59, tzinfo=UTC), False),
        (datetime(2024, 12, 5, 23, 0, tzinfo=UTC), True),
        (datetime(2024, 12, 6, 6, 0, tzinfo=UTC), True),
        (datetime(2024, 12, 6, 13, 30, tzinfo=UTC), True),
        (datetime(2024, 12, 6, 13, 31, tzinfo=UTC), False),
        (datetime(2024, 12, 6, 17, 0, tzinfo=UTC), False),
        (datetime(2024, 12, 8, 12, 0, tzinfo=UTC), True),
    ],
)
def test_ingestion_is_open_between_the_bells_with_their_margins(
    moment: datetime, *, is_open: bool
) -> None:
    assert is_ingestion_open(moment, POLICY) is is_open


def test_days_outside_the_calendars_are_refused_not_guessed() -> None:
    with pytest.raises(InputError, match="must be between 1990-01-01"):
        expected_sessions(None, CALENDAR_START - timedelta(days=1), date(2000, 1, 1))
    with pytest.raises(InputError, match="must be <= 2040-12-31"):
        expected_sessions(None, date(2000, 1, 1), CALENDAR_END + timedelta(days=2))
    with pytest.raises(InputError, match="must be between"):
        xnys_open(date(2041, 1, 1))
    with pytest.raises(InputError, match="instant must be between"):
        last_closed_session(None, datetime(1989, 1, 1, tzinfo=UTC), close_delay_hours=2.0)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(InputError, match="must carry a time zone"):
        last_closed_session(None, datetime(2024, 1, 1), close_delay_hours=2.0)  # noqa: DTZ001  # the point


@pytest.mark.parametrize(
    ("instant", "open_classes"),
    [
        (datetime(2025, 3, 12, 13, 30, tzinfo=UTC), "STOCKS FX CRYPTO COMMODITIES"),  # the open
        (datetime(2025, 3, 12, 13, 29, 59, tzinfo=UTC), "FX CRYPTO"),
        (datetime(2025, 3, 12, 20, 0, tzinfo=UTC), "FX CRYPTO"),  # the close is not open
        (datetime(2025, 3, 15, 15, 0, tzinfo=UTC), "CRYPTO"),  # a Saturday
        (datetime(2025, 11, 28, 18, 30, tzinfo=UTC), "FX CRYPTO"),  # after an early close
    ],
)
def test_each_class_trades_in_its_own_hours(instant: datetime, open_classes: str) -> None:
    found = {one for one in AssetClass if is_market_open(one, instant)}
    assert found == {AssetClass(name) for name in open_classes.split()}
    classes = (AssetClass.STOCKS, AssetClass.CRYPTO, AssetClass.FX)
    mask = open_mask(classes, instant)
    wanted = [one in found for one in classes]
    assert all(wanted) if mask is None else mask.tolist() == wanted
