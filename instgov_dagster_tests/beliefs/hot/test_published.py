"""The night's hot state as a table: restored bit-equal, or refused."""

import numpy as np
import polars as pl
import pytest

from instgov_dagster.beliefs.hot.published import (
    STATE_SCHEMA,
    restore_night,
    restores_bit_equal,
    seal_night,
)
from instgov_dagster.beliefs.hot.tape import closes_only
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import Panel, walked

POLICY = ForecastPolicy()


def test_the_row_restores_to_what_one_session_more_of_the_walk_says(drawn: Panel) -> None:
    found = walked(drawn)
    frame = seal_night(found)
    assert frame.schema == STATE_SCHEMA
    night = restore_night(frame, policy=POLICY, horizon=5)
    assert night is not None
    assert night.symbols == drawn.symbols
    assert night.session == drawn.dates[-1].astype("datetime64[D]").item()
    bars = closes_only(1.02 * drawn.prices[-1])
    longer = drawn._replace(
        dates=np.append(drawn.dates, drawn.dates[-1] + np.timedelta64(1, "D")),
        prices=np.vstack([drawn.prices, bars.close]),
        spy=np.append(drawn.spy, 1.0),
        vix=np.append(drawn.vix, 1.0),
    )
    again = walked(longer)
    told = night.fold.observe(bars)
    assert told.sigma.tobytes() == again.sigma[-1].tobytes()
    for name, mu in told.mus.items():
        assert mu.tobytes() == again.mus[name][-1].tobytes(), name


def test_a_changed_byte_or_a_second_row_is_refused(drawn: Panel) -> None:
    frame = seal_night(walked(drawn))
    assert restores_bit_equal(frame, policy=POLICY, horizon=5)
    packed = bytearray(frame["packed"][0])
    packed[100] ^= 1
    damaged = frame.with_columns(packed=pl.lit(bytes(packed)))
    with pytest.raises(ValueError, match="packed_sha256"):
        restore_night(damaged, policy=POLICY, horizon=5)
    assert not restores_bit_equal(damaged, policy=POLICY, horizon=5)
    with pytest.raises(ValueError, match="one state"):
        restore_night(pl.concat([frame, frame]), policy=POLICY, horizon=5)


def test_a_night_without_a_symbol_leaves_no_state() -> None:
    none = pl.DataFrame(schema=STATE_SCHEMA)
    assert restore_night(none, policy=POLICY, horizon=5) is None
    assert restores_bit_equal(none, policy=POLICY, horizon=5)
