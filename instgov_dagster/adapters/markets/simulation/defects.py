"""What the simulated vendor gets wrong, applied to clean bars and listed one by one."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.adapters.markets.simulation.noise import stream
from instgov_dagster.adapters.markets.simulation.parameters import DefectParameters

PRICES: Final = ("open", "high", "low", "close")


class DefectKind(StrEnum):
    """The kinds of wrong bars the simulated vendor delivers."""

    BAD_TICK = "BAD_TICK"
    DUPLICATE = "DUPLICATE"
    FX_CLOSE_LATE = "FX_CLOSE_LATE"
    HOLE = "HOLE"
    NEGATIVE_PRICE = "NEGATIVE_PRICE"
    OFF_SESSION = "OFF_SESSION"
    ZERO_VOLUME = "ZERO_VOLUME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """Bars with their defects in, and the list of them: symbol, date, defect."""

    bars: pl.DataFrame
    defects: pl.DataFrame


def spoil(
    bars: pl.DataFrame,
    *,
    symbol: str,
    seed: int,
    origin: date,
    listed_on: date | None,
    parameters: DefectParameters,
) -> Spoiled:
    """Apply to one symbol's clean bars, sorted by date, all the defects it is named for.

    Every defect is a function of the seed, the symbol and the date alone, so that a later night
    finds the same ones.
    """
    days = bars["date"].to_numpy().astype("datetime64[D]")
    luck = stream(seed, "defect", symbol).random((_days_after(days, origin), 1))[:, 0]
    draws = luck[(days - np.datetime64(origin, "D")).astype(np.int64)]
    found: list[tuple[DefectKind, NDArray[np.datetime64]]] = []
    p = parameters
    if symbol in p.bad_tick_symbols:
        hit = _first_session_of_every(days, origin, p.bad_tick_every_days)
        bars = _with_bad_ticks(bars, hit, p.bad_tick_factor)
        found.append((DefectKind.BAD_TICK, days[hit]))
    for name, on, value in p.negative_prices:
        if name == symbol:
            hit = days == np.datetime64(on, "D")
            bars = _with_negative_price(bars, hit, value)
            found.append((DefectKind.NEGATIVE_PRICE, days[hit]))
    if symbol in p.zero_volume_symbols:
        hit = draws < p.zero_volume_share
        bars = _where(bars, hit, {"volume": pl.lit(0.0)})
        found.append((DefectKind.ZERO_VOLUME, days[hit]))
    if symbol in p.duplicate_symbols:
        hit = draws < p.duplicate_share
        bars = pl.concat([bars, bars.filter(pl.Series(hit))]).sort("date", maintain_order=True)
        found.append((DefectKind.DUPLICATE, days[hit]))
    if symbol in p.sunday_symbols:
        bars, sundays = _with_sundays(bars, days, draws < p.sunday_share)
        found.append((DefectKind.OFF_SESSION, sundays))
    if symbol in p.hole_symbols and listed_on is not None:
        until = listed_on + timedelta(days=p.hole_days_after_listing)
        young = (days > np.datetime64(listed_on, "D")) & (days < np.datetime64(until, "D"))
        hit = young & (draws < p.hole_share)
        bars = bars.filter(~pl.Series(hit))
        found.append((DefectKind.HOLE, days[hit]))
    return Spoiled(bars=bars, defects=list_defects(symbol, found))


def late_fx_closes(
    bars: pl.DataFrame, *, symbol: str, seed: int, parameters: DefectParameters
) -> Spoiled:
    """Label FX closes the way Yahoo does since 2010: the close is the same bar's open."""
    noise = stream(seed, "late", symbol).standard_normal(bars.height) * parameters.fx_late_noise
    days = bars["date"].to_numpy().astype("datetime64[D]")
    late = (pl.col("open") * (1.0 + pl.Series("noise", noise))).clip(pl.col("low"), pl.col("high"))
    bars = bars.with_columns(close=late).with_columns(adj_close=pl.col("close"))
    return Spoiled(bars=bars, defects=list_defects(symbol, [(DefectKind.FX_CLOSE_LATE, days[:1])]))


def list_defects(
    symbol: str, found: list[tuple[DefectKind, NDArray[np.datetime64]]]
) -> pl.DataFrame:
    """Write defects as rows of symbol, date and defect."""
    rows = [
        pl.DataFrame({"date": days}, schema={"date": pl.Date}).select(
            pl.lit(symbol).alias("symbol"), "date", pl.lit(kind.value).alias("defect")
        )
        for kind, days in found
    ]
    empty = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date, "defect": pl.String})
    return pl.concat([empty, *rows])


def _days_after(days: NDArray[np.datetime64], origin: date) -> int:
    return 0 if days.size == 0 else int((days[-1] - np.datetime64(origin, "D")).astype(int)) + 1


def _where(bars: pl.DataFrame, hit: NDArray[np.bool_], values: dict[str, pl.Expr]) -> pl.DataFrame:
    mask = pl.Series(hit)
    return bars.with_columns(
        pl.when(mask).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def _first_session_of_every(
    days: NDArray[np.datetime64], origin: date, every_days: int
) -> NDArray[np.bool_]:
    periods = (days - np.datetime64(origin, "D")).astype(np.int64) // every_days
    return np.diff(periods, prepend=periods[:1]) > 0


def _with_bad_ticks(bars: pl.DataFrame, hit: NDArray[np.bool_], factor: float) -> pl.DataFrame:
    wrong = pl.col("close") * factor
    return _where(
        bars,
        hit,
        {
            "close": wrong,
            "high": pl.max_horizontal("high", wrong),
            "adj_close": pl.col("adj_close") * factor,
        },
    )


def _with_negative_price(bars: pl.DataFrame, hit: NDArray[np.bool_], value: float) -> pl.DataFrame:
    price = pl.lit(value)
    return _where(
        bars, hit, {"close": price, "low": pl.min_horizontal("low", price), "adj_close": price}
    )


def _with_sundays(
    bars: pl.DataFrame, days: NDArray[np.datetime64], hit: NDArray[np.bool_]
) -> tuple[pl.DataFrame, NDArray[np.datetime64]]:
    # A Monday's luck decides on a row dated the day before, at the Monday's own open.
    weekday = (days.astype(np.int64) + 4) % 7
    chosen = hit & (weekday == 1)
    flat = {name: pl.col("open") for name in (*PRICES, "adj_close")}
    rows = bars.filter(pl.Series(chosen)).with_columns(
        date=pl.col("date") - pl.duration(days=1), volume=pl.lit(0.0), **flat
    )
    sundays = days[chosen] - np.timedelta64(1, "D")
    return pl.concat([bars, rows]).sort("date", maintain_order=True), sundays
