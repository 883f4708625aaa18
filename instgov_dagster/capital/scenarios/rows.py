"""The scenarios of a night as table rows, pinned by their hash, and read back bit-equal."""

import hashlib
from datetime import date
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

_OF_MEASURE: Final = (
    "measure", "symbols_hash", "window_start", "window_end", "window_sha256", "proxies",
)  # fmt: skip


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
    digest, own = symbols_hash(scenarios.symbols), list[ScenarioMeasure]()
    for measure in scenarios.measures:
        if not any(measure.returns is other.returns for other in own):
            own.append(measure)
    returns = np.concatenate([measure.returns for measure in own])
    dates = np.concatenate([measure.end_dates.astype("datetime64[D]") for measure in own])
    told = pl.DataFrame(
        [
            (measure.name.value, digest, *_span(measure), sha256, list(measure.proxies))
            for measure in own
            for sha256 in (measure_sha256(measure, scenarios.symbols),)
        ],
        schema={name: SCENARIO_SCHEMA[name] for name in _OF_MEASURE},
        orient="row",
    )
    rows = pl.Series("returns", returns, dtype=pl.Array(pl.Float64, returns.shape[1]))
    of_measure = told[np.repeat(np.arange(len(own)), [measure.end_dates.size for measure in own])]
    columns = (pl.Series("scenario_date", dates), rows.cast(pl.List(pl.Float64)))
    return of_measure.with_columns(*columns).select(SCENARIO_SCHEMA.names())


def _span(measure: ScenarioMeasure) -> tuple[date | None, date | None]:
    days = measure.end_dates.astype("datetime64[D]")
    return (days.min().item(), days.max().item()) if days.size else (None, None)


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


def _of_measure(frame: pl.DataFrame, name: RiskMeasure) -> pl.DataFrame:
    # By date: as they are written they lie side by side, and are not copied.
    places = np.flatnonzero((frame["measure"] == name.value).to_numpy())
    if not places.size:
        return frame.clear()
    rows = frame[places[0] : places[-1] + 1]
    if rows.height != places.size:
        rows = frame[places]
    is_sorted = (np.diff(rows["scenario_date"].to_numpy()) > np.timedelta64(0, "D")).all()
    return rows if is_sorted else rows.sort("scenario_date")


def _read_measure(
    frame: pl.DataFrame, name: RiskMeasure, symbols: tuple[str, ...]
) -> ScenarioMeasure | None:
    rows = _of_measure(frame, name)
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
