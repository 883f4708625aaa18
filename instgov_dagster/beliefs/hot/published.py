"""The night's hot state as a table of one row, and back; what a day makes of it is elsewhere."""

import hashlib
from dataclasses import dataclass
from datetime import date

import polars as pl

from instgov_dagster.beliefs.forecast import last_session
from instgov_dagster.beliefs.hot.day import DayFold, HotModels, seal_day
from instgov_dagster.beliefs.hot.tape import closes_only
from instgov_dagster.beliefs.hot.walk import Walk
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

STATE_SCHEMA = pl.Schema(
    {
        "session": pl.Date(),
        "symbols": pl.List(pl.String),
        "packed": pl.Binary(),
        "packed_sha256": pl.String(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NightModels:
    """Every model as the night left it, over the columns ``symbols``, after ``session``."""

    session: date
    symbols: tuple[str, ...]
    packed_sha256: str
    fold: HotModels


def seal_night(walked: Walk) -> pl.DataFrame:
    """Lay the state after the walk out as one row (``STATE_SCHEMA``); none without a symbol."""
    if not walked.symbols:
        return pl.DataFrame(schema=STATE_SCHEMA)
    packed = seal_day(walked.fold)
    row = {
        "session": last_session(walked),
        "symbols": list(walked.symbols),
        "packed": packed,
        "packed_sha256": hashlib.sha256(packed).hexdigest(),
    }
    return pl.DataFrame([row], schema=STATE_SCHEMA)


def restore_night(
    frame: pl.DataFrame, *, policy: ForecastPolicy, horizon: int
) -> NightModels | None:
    """Read the models back, bit-equal; None where the night had no symbol to model.

    Raises
    ------
    ValueError
        If there is more than one row, or the bytes are damaged or of other models.
    """
    if frame.is_empty():
        return None
    if frame.height != 1:
        raise ValueError(f"a night must leave one state, left {frame.height}")
    row = frame.row(0, named=True)
    packed = bytes(row["packed"])
    if hashlib.sha256(packed).hexdigest() != row["packed_sha256"]:
        raise ValueError("the packed state must hash to packed_sha256, does not")
    symbols = tuple(row["symbols"])
    fold = DayFold(len(symbols), policy=policy, horizon=horizon).restore(packed)
    return NightModels(
        session=row["session"], symbols=symbols, packed_sha256=row["packed_sha256"], fold=fold
    )


def restores_bit_equal(frame: pl.DataFrame, *, policy: ForecastPolicy, horizon: int) -> bool:
    """Tell whether two restored folds say the same of one session, before and after another.

    The session is that of the last closes; between the two the first fold is shown prices a tenth
    higher, which must leave no trace. A state that cannot be restored at all is not bit-equal.
    """
    try:
        pair = [restore_night(frame, policy=policy, horizon=horizon) for _ in range(2)]
    except ValueError:
        return False
    folds = [night.fold for night in pair if night is not None]
    if not folds:
        return True  # nothing was eligible: there is no state and no session to forecast
    closes = folds[0].last_prices()
    said = folds[0].observe(closes_only(closes)).to_bytes()
    folds[0].observe(closes_only(1.1 * closes))
    again = (fold.observe(closes_only(closes)).to_bytes() for fold in folds)
    return all(answer == said for answer in again)
