"""The night's auction solved again without one provider, and without the last bar (SPEC 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.bars.providers import history_providers
from instgov_dagster.governance.veto import VETO_SCHEMA, veto_data_dependency
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.loop.steps import beliefs
from instgov_dagster.loop.steps.context import NightContext, Tables
from instgov_dagster.loop.steps.decision import compete_night, night_snapshot, with_other_health
from instgov_dagster.vocabulary.bars import AssetClass, Market, SymbolStatus
from instgov_dagster.vocabulary.governance import ALL, ScopedFinding

LAST_BAR = "last_bar"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dependency:
    """Targets by symbol, fractions of NAV, and what each would be without something.

    Attributes
    ----------
    weights
        Shape ``(n_symbols,)``: the target before any veto.
    without
        What was left out, to the target solved without it.
    routed
        Symbols by provider: those that fall away with it.
    is_stale
        Shape ``(n_symbols,)``: the bars are stale, or some were revised since yesterday.
    """

    symbols: tuple[str, ...]
    weights: Floats
    without: Mapping[str, Floats]
    routed: Mapping[str, frozenset[str]]
    is_stale: NDArray[np.bool_]


def judge_dependency(
    tables: Tables, context: NightContext, *, without_last_bar: Tables | None = None
) -> tuple[ScopedFinding, ...]:
    """Judge how far tonight's target hangs on one provider, one bar or stale bars (roadmap 9.2).

    What fires speaks of the symbols it is about: those the last bar made larger, those of the
    provider, those on stale bars. What does not fire is said once, of every symbol.

    Parameters
    ----------
    without_last_bar
        The forecasts and their health formed without the last bar, where they are at hand.
    """
    found = solve_without(tables, context, without_last_bar=without_last_bar)
    findings = veto_data_dependency(
        found.weights, found.without, found.is_stale, context.policy.veto
    )
    out = []
    for finding in findings:
        names = _concerned(finding.trigger.partition(".")[2], found) if finding.fired else ()
        scopes = names or (ALL,)
        out += [ScopedFinding(strategy_id=ALL, symbol=name, finding=finding) for name in scopes]
    return tuple(out)


def _concerned(name: str, found: Dependency) -> tuple[str, ...]:
    if name == "stale_gross":
        concerned = found.is_stale
    elif name == LAST_BAR:
        concerned = found.weights > found.without[name]
    else:
        concerned = np.array([symbol in found.routed[name] for symbol in found.symbols])
    is_wanted = concerned & (found.weights != 0.0)
    return tuple(s for s, is_one in zip(found.symbols, is_wanted, strict=True) if is_one)


def solve_without(
    tables: Tables, context: NightContext, *, without_last_bar: Tables | None = None
) -> Dependency:
    """Solve tonight's auction, and again without each provider that has a stand-in, and a bar.

    No veto takes part: the question is what the auction would do by itself. Without the last bar
    the forecasts and their health are formed anew on the sessions before it; scenarios, costs and
    regime stay tonight's. A provider that is a class's only route is not held against it.
    """
    free = {**tables, "vetoes": pl.DataFrame(schema=VETO_SCHEMA)}
    governed = tables["data_governance"].filter(~pl.col("is_reference")).sort("symbol")
    symbols = tuple(governed["symbol"].to_list())
    routed = replaceable_routes(governed, context)
    earlier = without_last_bar or _without_last_bar(tables, context)
    snapshot, other = night_snapshot(free, context), {**free, **earlier}
    seen_earlier = with_other_health(snapshot, other)
    without = {LAST_BAR: _target(seen_earlier, symbols, other, context)}
    for provider, names in routed.items():
        is_gone = pl.col("symbol").is_in(sorted(names))
        lost = tables["data_governance"].with_columns(is_eligible=pl.col("is_eligible") & ~is_gone)
        other = {**free, "data_governance": lost}
        without[provider] = _target(night_snapshot(other, context), symbols, other, context)
    return Dependency(
        symbols=symbols,
        weights=_target(snapshot, symbols, free, context),
        without=without,
        routed=routed,
        is_stale=stale_symbols(tables, governed, context),
    )


def _target(
    snapshot: Snapshot, symbols: tuple[str, ...], tables: Tables, context: NightContext
) -> Floats:
    bids = compete_night(snapshot, tables, context).bids
    net = dict(bids.group_by("symbol").agg(pl.col("weight").sum()).iter_rows())
    return np.array([net.get(symbol, 0.0) for symbol in symbols])


def _without_last_bar(tables: Tables, context: NightContext) -> dict[str, pl.DataFrame]:
    shown = {**tables, "price_history": history_without_last_bar(tables["price_history"])}
    forecasts = beliefs.forecast(shown, context)
    return {
        "model_forecasts": forecasts,
        "model_decay_metrics": beliefs.assess({**shown, "model_forecasts": forecasts}, context),
    }


def history_without_last_bar(price_history: pl.DataFrame) -> pl.DataFrame:
    """Leave out the last day on which a stock has a bar, and all that came after it."""
    days = price_history["date"]
    of_stocks = days.filter(price_history["asset_class"] == AssetClass.STOCKS.value)
    last = (of_stocks if of_stocks.len() else days).max()
    return price_history.filter(pl.col("date") < last)


def replaceable_routes(governed: pl.DataFrame, context: NightContext) -> dict[str, frozenset[str]]:
    """Name, by provider, the symbols another entitled provider could serve in its place.

    Parameters
    ----------
    governed
        Rows of data_governance.
    """
    routes: dict[str, frozenset[str]] = {}
    if context.market is not Market.LIVE:
        return routes  # one folder, or one simulation, is the only route of every class
    rows = governed.filter(pl.col("is_eligible"))[["symbol", "asset_class", "provider"]]
    for symbol, kind, provider in rows.iter_rows():
        if set(history_providers(AssetClass(kind))) & context.entitled - {provider}:
            routes[provider] = routes.get(provider, frozenset()) | {symbol}
    return routes


def stale_symbols(
    tables: Tables, governed: pl.DataFrame, context: NightContext
) -> NDArray[np.bool_]:
    """Tell which symbols stand on stale bars, or on bars restated since the night before."""
    since = context.known_at - timedelta(days=1)
    bars = tables["bars"]
    revised = frozenset[str]()
    if bars["is_restated"].any():
        late = bars.filter(pl.col("is_restated") & (pl.col("known_at") > since))
        revised = frozenset(late["symbol"].to_list())
    told = governed[["symbol", "status"]].iter_rows()
    return np.array([s in revised or k == SymbolStatus.STALE for s, k in told], dtype=np.bool_)
