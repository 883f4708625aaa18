"""The scenarios of a night as table rows, pinned by their hash, and read back bit-equal."""

import hashlib
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios.build import current_measure, missing_stress
from instgov_dagster.capital.scenarios.sets import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.capital import RiskMeasure
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The columns of `scenarios_to_frame`.
SCENARIO_SCHEMA: Final = pl.Schema(
    {
        "measure": pl.String(),
        "scenario_date": pl.Date(),
        "returns": pl.List(pl.Float64()),
        "symbols_hash": pl.String(),
        "window_start": pl.Date(),
        "window_end": pl.Date(),
        "window_sha256": pl.String(),
        "proxies": pl.List(pl.String()),
    }
)


def symbols_hash(symbols: tuple[str, ...]) -> str:
    """Digest the column order, so that a stored row is never read against other columns."""
    return hashlib.sha256("\n".join(symbols).encode()).hexdigest()


def measure_sha256(measure: ScenarioMeasure, symbols: tuple[str, ...]) -> str:
    """Pin a measure: digest its name, columns, proxies, dates and every bit of its returns."""
    words = (measure.name.value, symbols_hash(symbols), *measure.proxies)
    digest = hashlib.sha256("\n".join(words).encode())
    digest.update(measure.end_dates.astype("datetime64[D]").astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(measure.returns, dtype="<f8").data)
    return digest.hexdigest()


def scenarios_to_frame(scenarios: ScenarioSet) -> pl.DataFrame:
    """Write the measures that have returns of their own: one row a scenario.

    Returns
    -------
    ``SCENARIO_SCHEMA``: ``returns`` in symbol order; beside each row the first and the last date
    its measure's scenarios end on, the measure's hash and the symbols that stand in it by proxy.
    A measure that multiplies another's returns is not written twice.
    """
    digest = symbols_hash(scenarios.symbols)
    seen: set[int] = set()
    frames = []
    for measure in scenarios.measures:
        if id(measure.returns) in seen:
            continue
        seen.add(id(measure.returns))
        n_symbols = measure.returns.shape[1]
        rows = pl.Series("returns", measure.returns, dtype=pl.Array(pl.Float64, n_symbols))
        dates = pl.Series("scenario_date", measure.end_dates.astype("datetime64[D]"))
        frames.append(
            pl.DataFrame([dates, rows.cast(pl.List(pl.Float64))]).with_columns(
                pl.lit(measure.name.value).alias("measure"),
                pl.lit(digest).alias("symbols_hash"),
                pl.col("scenario_date").min().alias("window_start"),
                pl.col("scenario_date").max().alias("window_end"),
                pl.lit(measure_sha256(measure, scenarios.symbols)).alias("window_sha256"),
                pl.lit(pl.Series([list(measure.proxies)], dtype=pl.List(pl.String)))
                .first()
                .alias("proxies"),
            )
        )
    return pl.concat(frames).select(SCENARIO_SCHEMA.names()).cast(SCENARIO_SCHEMA)


# The set read last, by the very frame it was read from: the steps of one night ask for it again and
# again. What is handed out is a pure function of the frame: memory changes only the time.
_LAST_READ: list[tuple[pl.DataFrame, tuple[str, ...], CVaRConfig, ScenarioSet]] = []


def scenarios_from_frame(
    frame: pl.DataFrame, symbols: tuple[str, ...], *, config: CVaRConfig
) -> ScenarioSet:
    """Read a set written by `scenarios_to_frame`, bit-equal; the last one read is remembered.

    Parameters
    ----------
    frame
        The rows of one night.
    symbols
        The columns, in the order the set was written.

    Raises
    ------
    DataRejected
        ``SCENARIO_REFUSED`` if the rows belong to other symbols, hold a number that is not finite
        or are not the ones that were pinned; ``TOO_FEW_SCENARIOS`` if a measure has too few.
    """
    for held, names, rules, scenarios in _LAST_READ:
        if held is frame and names == symbols and rules == config:
            return scenarios
    found = _read(frame, symbols, config)
    _LAST_READ[:] = [(frame, symbols, config, found)]
    return found


def _read(frame: pl.DataFrame, symbols: tuple[str, ...], config: CVaRConfig) -> ScenarioSet:
    if frame["symbols_hash"].unique().to_list() != [symbols_hash(symbols)]:
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, "the rows belong to other symbols")
    current, filtered, stressed = (
        _read_measure(frame, name, symbols)
        for name in (RiskMeasure.CURRENT, RiskMeasure.FILTERED, RiskMeasure.STRESSED)
    )
    if current is None:
        raise DataRejected(ReasonCode.TOO_FEW_SCENARIOS, f"0 rows of {config.min_scenarios}")
    measures = [current_measure(current.end_dates, current.returns, config=config)]
    if filtered is not None:
        _require_rows(filtered, config.min_scenarios)
        measures.append(filtered)
    if stressed is not None:
        _require_rows(stressed, config.min_stressed_scenarios)
    measures.append(stressed or missing_stress(measures[0], config=config))
    return ScenarioSet(symbols=symbols, measures=tuple(measures))


def _require_rows(measure: ScenarioMeasure, least: int) -> None:
    n_scenarios = measure.end_dates.size
    if n_scenarios < least:
        raise DataRejected(
            ReasonCode.TOO_FEW_SCENARIOS, f"{n_scenarios} {measure.name} rows of {least}"
        )


def _read_measure(
    frame: pl.DataFrame, name: RiskMeasure, symbols: tuple[str, ...]
) -> ScenarioMeasure | None:
    rows = frame.filter(pl.col("measure") == name.value).sort("scenario_date")
    if rows.is_empty():
        return None
    if rows["returns"].list.len().unique().to_list() != [len(symbols)]:
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, f"a {name} row is not {len(symbols)} wide")
    flat: NDArray[np.float64] = rows["returns"].explode(empty_as_null=False).to_numpy()
    if not np.isfinite(flat).all():
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, f"a {name} return is not finite")
    measure = ScenarioMeasure(
        name=name,
        end_dates=rows["scenario_date"].to_numpy().astype("datetime64[D]"),
        returns=np.ascontiguousarray(flat.reshape(rows.height, len(symbols))),
        multiplier=1.0,
        reason_codes=(),
        proxies=tuple(rows["proxies"][0]),
    )
    if rows["window_sha256"].unique().to_list() != [measure_sha256(measure, symbols)]:
        raise DataRejected(ReasonCode.SCENARIO_REFUSED, f"the {name} rows are not those pinned")
    return measure
