"""What the night expects of the book it is handed, and whether earlier nights expected enough."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.calendars import CALENDAR_START, expected_sessions
from instgov_dagster.bars.panel import PricePanel
from instgov_dagster.capital.coverage import CoverageOutcomes, judge_coverage
from instgov_dagster.capital.cvar import book_losses, cvar, cvar_standard_error, value_at_risk
from instgov_dagster.capital.scenarios import ScenarioSet, scenarios_from_frame
from instgov_dagster.capital.scenarios.returns import horizon_returns
from instgov_dagster.loop.decision.book import Book
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.rows import book_of, whole_panel
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.capital import CVaRConfig
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The scope of the whole book; every other scope is a strategy's name.
WHOLE_BOOK: Final = "*"

#: One row a scope: what is held by last closes, and its tail on the current scenarios.
FORECAST_SCHEMA: Final = pl.Schema(
    {
        "scope": pl.String(),
        "session": pl.Date(),
        "horizon_days": pl.Int64(),
        "gross": pl.Float64(),
        "value_at_risk": pl.Float64(),
        "cvar": pl.Float64(),
        "standard_error": pl.Float64(),
        "n_scenarios": pl.Int64(),
        "symbols": pl.List(pl.String()),
        "weights": pl.List(pl.Float64()),
    }
)

#: One row a scope and test, see `CoverageVerdict`.
COVERAGE_SCHEMA: Final = pl.Schema(
    {
        "scope": pl.String(),
        "test": pl.String(),
        "value": pl.Float64(),
        "p_value": pl.Float64(),
        "limit_value": pl.Float64(),
        "outcomes": pl.Int64(),
        "exceedances": pl.Int64(),
        "highest": pl.Float64(),
        "last_session": pl.Date(),
        "is_judged": pl.Boolean(),
        "passed": pl.Boolean(),
    }
)


def forecast_risk(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Forecast VaR and CVaR of the book carried into the night, whole and by strategy.

    Raises
    ------
    DataRejected
        ``RISK_NOT_FINITE`` where what is held has no price.
    """
    config = context.policy.cvar
    names = tuple(sorted(tables["market_impact"]["symbol"].to_list()))
    scenarios = scenarios_from_frame(tables["stress_scenarios"], names, config=config)
    closes = dict(tables["market_impact"][["symbol", "last_close"]].iter_rows())
    book = book_of(tables)
    specs = {spec.strategy_id for spec in context.policy.models.strategies}
    scopes = sorted(specs | {row.strategy_id for row in book.holdings})
    weights = _weights(book, scopes, names, closes)
    rows = [_forecast(WHOLE_BOOK, weights.sum(axis=0), scenarios, config)]
    rows += [
        _forecast(scope, own, scenarios, config) for scope, own in zip(scopes, weights, strict=True)
    ]
    return pl.DataFrame(rows, schema=FORECAST_SCHEMA, orient="row")


def _weights(
    book: Book, scopes: list[str], names: tuple[str, ...], closes: Mapping[str, float | None]
) -> NDArray[np.float64]:
    # Shape (n_scopes, n_symbols), fractions of net asset value at the last known closes.
    quantities = book.quantities(scopes, names)
    prices = np.array([closes[name] for name in names], dtype=np.float64)
    values = np.zeros(quantities.shape)
    rows, columns = np.nonzero(quantities)
    values[rows, columns] = quantities[rows, columns] * prices[columns]
    nav = float(book.cash_usd) + float(values.sum())
    if not (np.isfinite(nav) and nav > 0.0):
        raise DataRejected(ReasonCode.RISK_NOT_FINITE, f"the book handed over is worth {nav!r}")
    weights: NDArray[np.float64] = values / nav
    return weights


def _forecast(
    scope: str, weights: NDArray[np.float64], scenarios: ScenarioSet, config: CVaRConfig
) -> tuple[object, ...]:
    losses, level = book_losses(scenarios.current.returns, weights), config.confidence_level
    held = np.flatnonzero(weights)
    return (
        scope,
        scenarios.current.end_dates[-1].astype(date),
        config.horizon_days,
        float(np.abs(weights).sum()),
        value_at_risk(losses, confidence_level=level),
        cvar(losses, confidence_level=level),
        cvar_standard_error(losses, confidence_level=level, overlap_sessions=config.horizon_days),
        losses.size,
        [scenarios.symbols[i] for i in held],
        weights[held].tolist(),
    )


def cover_risk(tables: Tables, context: NightContext) -> pl.DataFrame:
    """Hold the forecasts of earlier nights against the losses of their books since (SPEC 4)."""
    past = tables["past_risk_forecasts"]
    held = past["symbols"].explode(empty_as_null=False).unique().drop_nulls().to_list()
    returns = _held_returns(whole_panel(tables, context, beside=held), context.policy.cvar)
    specs = {spec.strategy_id for spec in context.policy.models.strategies}
    scopes = [WHOLE_BOOK, *sorted((specs | set(past["scope"].to_list())) - {WHOLE_BOOK})]
    found = outcomes_by_scope(past, returns)
    rows = []
    for scope in scopes:
        outcomes = found.get(scope, _NO_OUTCOMES)
        verdicts = judge_coverage(outcomes, asof=context.asof, config=context.policy.cvar)
        rows += [
            (
                scope,
                told.test.value,
                told.value,
                told.p_value,
                told.limit,
                told.outcomes,
                told.exceedances,
                told.highest,
                told.last_session,
                told.is_judged,
                told.passed,
            )
            for told in verdicts
        ]
    return pl.DataFrame(rows, schema=COVERAGE_SCHEMA, orient="row")


class HeldReturns:
    """Returns over the horizon from every session of a panel: what any book held still made.

    Parameters
    ----------
    panel
        Tonight's prices.
    """

    def __init__(self, panel: PricePanel, *, config: CVaRConfig) -> None:
        self.panel, self.horizon = panel, config.horizon_days
        self.returns = horizon_returns(panel.prices, sessions=config.horizon_days, config=config)
        end = (
            panel.dates[-1].astype(date) + timedelta(days=1) if panel.dates.size else CALENDAR_START
        )
        # Counted from the calendar's first session: a lane keeps its sessions as the window moves.
        self.numbers = np.searchsorted(expected_sessions(None, CALENDAR_START, end), panel.dates)

    def losses(self, rows: pl.DataFrame, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Give the loss of each row's book, held from its place on; NaN where a price is missing.

        Parameters
        ----------
        rows
            ``symbols`` and ``weights`` of ``(k,)`` books.
        places
            Shape ``(k,)``, the session each is held from.
        """
        names = pl.Enum(self.panel.symbols)
        counts = rows["symbols"].list.len().to_numpy().astype(np.intp)
        columns = rows["symbols"].explode(empty_as_null=False).cast(names).to_physical().to_numpy()
        weights = rows["weights"].explode(empty_as_null=False).to_numpy()
        held = self.returns[np.repeat(places, counts), columns]
        starts = np.cumsum(counts) - counts
        losses = np.empty(counts.size)
        # Books of as many symbols are valued side by side.
        for count in np.unique(counts).tolist():
            alike = np.flatnonzero(counts == count)
            cells = starts[alike, None] + np.arange(count)
            losses[alike] = -np.vecdot(held[cells], weights[cells])
        return losses


# The returns last laid out, by the very panel: the books of one night are held on the same prices.
_LAST_RETURNS: list[tuple[CVaRConfig, HeldReturns]] = []


def _held_returns(panel: PricePanel, config: CVaRConfig) -> HeldReturns:
    for rules, returns in _LAST_RETURNS:
        if returns.panel is panel and rules == config:
            return returns
    found = HeldReturns(panel, config=config)
    _LAST_RETURNS[:] = [(config, found)]
    return found


def realised_outcomes(past: pl.DataFrame, returns: HeldReturns) -> CoverageOutcomes:
    """Find what came of one scope's forecasts: the loss of the book held still over the horizon.

    Parameters
    ----------
    past
        ``FORECAST_SCHEMA`` with ``asof``, of one scope. Of nights that stood on one session the
        last counts; a night on which nothing was held, or of another horizon, does not.
    returns
        Of tonight's prices; a forecast whose horizon is not over, or of which a price is missing,
        has no outcome yet.
    """
    found = outcomes_by_scope(past.with_columns(scope=pl.lit(WHOLE_BOOK)), returns)
    return found.get(WHOLE_BOOK, _NO_OUTCOMES)


_READ: Final = ("gross", "horizon_days", "session", "asof", "value_at_risk", "cvar")
_NO_OUTCOMES: Final = CoverageOutcomes(
    ends=np.zeros(0, dtype="datetime64[D]"),
    places=np.zeros(0, dtype=np.intp),
    value_at_risk=np.zeros(0),
    cvar=np.zeros(0),
    losses=np.zeros(0),
)


def outcomes_by_scope(past: pl.DataFrame, returns: HeldReturns) -> dict[str, CoverageOutcomes]:
    """Find what came of the forecasts of all scopes in one pass, see `realised_outcomes`.

    Returns
    -------
    Outcomes by scope; one without any is not among them.
    """
    known = returns.panel.dates[: returns.returns.shape[0]]
    if not known.size or past.is_empty():
        return {}
    names = sorted(set(past["scope"].to_list()))
    scopes = past["scope"].cast(pl.Enum(names)).to_physical().to_numpy()
    gross, horizons, sessions, nights, risks, tails = (past[n].to_numpy() for n in _READ)
    is_counted = (gross > 0.0) & (horizons == returns.horizon) & (sessions >= known[0])
    rows = np.flatnonzero(is_counted)
    rows = rows[np.lexsort((nights[rows], sessions[rows], scopes[rows]))]
    # Of nights that stood on one session the last counts.
    is_last = np.ones(rows.size, dtype=np.bool_)
    is_last[:-1] = np.diff(scopes[rows].astype(np.int64)) != 0
    is_last[:-1] |= sessions[rows[1:]] != sessions[rows[:-1]]
    places = np.searchsorted(known, sessions[rows].astype(known.dtype))
    is_known = known[np.minimum(places, known.size - 1)] == sessions[rows]
    rows, places = rows[is_last & is_known], places[is_last & is_known]
    losses = returns.losses(past[["symbols", "weights"]][rows], places)
    is_over = np.isfinite(losses)
    rows, places, losses = rows[is_over], places[is_over], losses[is_over]
    ends, numbers = returns.panel.dates[places + returns.horizon], returns.numbers[places]
    out = {}
    for code in np.unique(scopes[rows]).tolist():
        mine = scopes[rows] == code
        out[names[code]] = CoverageOutcomes(
            ends=ends[mine],
            places=numbers[mine],
            value_at_risk=risks[rows[mine]],
            cvar=tails[rows[mine]],
            losses=losses[mine],
        )
    return out
