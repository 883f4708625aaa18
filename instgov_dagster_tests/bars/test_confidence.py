"""What a provider's answers are worth is counted over nights."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.govern import ANSWERS_SCHEMA, provider_confidence

TONIGHT = date(2025, 3, 12)


def answers(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Give answers: provider, reason, requests."""
    plain = [
        {
            "provider": provider, "symbol": f"S{n}", "reason_code": reason, "status": 200,
            "requests": requests, "rows": 1, "detail": "",
        }
        for n, (provider, reason, requests) in enumerate(rows)
    ]  # fmt: skip
    return pl.DataFrame(plain, schema=ANSWERS_SCHEMA, orient="row")


def before(*nights: pl.DataFrame) -> pl.DataFrame:
    """Put nights behind tonight, the last one first."""
    empty = answers().with_columns(asof=pl.lit(TONIGHT, dtype=pl.Date))
    dated = [
        night.with_columns(asof=pl.lit(TONIGHT - timedelta(days=n)))
        for n, night in enumerate(nights, start=1)
    ]
    return pl.concat([empty, *dated])


GOOD, BAD, MALFORMED = "PROVIDER_SELECTED", "PROVIDER_NOT_FOUND", "PROVIDER_MALFORMED"


@pytest.mark.roadmap("4.1")
def test_confidence_worked_by_hand_is_the_share_of_good_answers() -> None:
    tonight = answers(("yahoo", GOOD, 1), ("yahoo", BAD, 1), ("binance", GOOD, 2))
    earlier = before(answers(("yahoo", GOOD, 1), ("yahoo", MALFORMED, 3)))
    found = provider_confidence(tonight, earlier, nights=20)
    assert found == {"yahoo": 0.5, "binance": 1.0}  # 2 of 4; 1 of 1


def test_what_nobody_was_asked_counts_for_nobody() -> None:
    tonight = answers(("yahoo", GOOD, 1), ("NO_VALID_PROVIDER", "PROVIDER_NOT_ENTITLED", 0))
    assert provider_confidence(tonight, before(), nights=20) == {"yahoo": 1.0}
    assert provider_confidence(answers(), before(), nights=20) == {}


def test_nights_too_long_ago_are_forgotten() -> None:
    bad, good = answers(("yahoo", BAD, 1)), answers(("yahoo", GOOD, 1))
    earlier = before(good, good, bad, bad)
    assert provider_confidence(good, earlier, nights=3) == {"yahoo": 1.0}
    assert provider_confidence(good, earlier, nights=4) == {"yahoo": 0.75}
    assert provider_confidence(good, earlier, nights=1) == {"yahoo": 1.0}


@given(reasons=st.lists(st.sampled_from([GOOD, BAD, MALFORMED]), min_size=1, max_size=30))
def test_one_more_refusal_never_raises_confidence(reasons: list[str]) -> None:
    now = answers(*[("yahoo", reason, 1) for reason in reasons])
    more = answers(*[("yahoo", reason, 1) for reason in (*reasons, BAD)])
    (held,) = provider_confidence(now, before(), nights=20).values()
    (less,) = provider_confidence(more, before(), nights=20).values()
    assert 0.0 <= less <= held <= 1.0
    assert less < 1.0
