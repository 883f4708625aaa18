"""What the night leaves for every decision of the day, as arrays; no quotes and no book here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.published import restore_night
from instgov_dagster.beliefs.regime import RegimeBelief, belief_from_row
from instgov_dagster.capital.scenarios import ScenarioSet, scenarios_from_frame
from instgov_dagster.governance.audit import Digest, frame_sha256, sha256_of
from instgov_dagster.governance.veto import vetoes_from_frame
from instgov_dagster.loop.decision.blocks import StandingBlocks, standing_blocks
from instgov_dagster.loop.decision.forecasting import DayModels, Forecasts, day_models
from instgov_dagster.vocabulary.bars import AssetClass, SymbolStatus
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.governance import StrategyLifecycle, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The tables a snapshot is made of: what the loop, the replay and every reader stand on.
SNAPSHOT_TABLES = (
    "data_governance",
    "regime_beliefs",
    "model_decay_metrics",
    "strategy_lifecycle_log",
    "stress_scenarios",
    "market_impact",
    "vetoes",
)

_REASONS = {code.value: code for code in ReasonCode}

#: What a session stands on: those, and the models as the night left them.
HOT_TABLE = "belief_state"
LIVE_TABLES = (*SNAPSHOT_TABLES, HOT_TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyView:
    """One strategy as the day sees it: its stage, the share of NAV it may use, its horizon."""

    strategy_id: str
    model_id: str
    stage: StrategyLifecycle
    stage_cap: float
    capital_decay: float
    half_life_sessions: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """One night's knowledge: N symbols, K strategies, S scenarios over the eligible symbols.

    Attributes
    ----------
    content
        Of the tables it was laid out from.
    symbols
        Every tradable symbol of the universe, sorted, ineligible ones included.
    vetoes
        Those that stand on this day; governance's night says which (SPEC 7).
    scenario_index
        Position of each symbol on the scenario axis, -1 where it has none.
    blocks
        What forbids each strategy's bid on each symbol all day.
    places
        Position of each scenario column among the symbols.
    models
        The models as the night left them; None in the night itself, whose forecasts stand.
    """

    snapshot_id: str
    content: Digest
    asof: date
    symbols: tuple[str, ...]
    asset_class: tuple[AssetClass, ...]
    sector: tuple[str, ...]
    status: tuple[SymbolStatus, ...]
    symbol_reasons: tuple[tuple[ReasonCode, ...], ...]
    is_eligible: NDArray[np.bool_]
    has_route: NDArray[np.bool_]
    data_quality: NDArray[np.float64]
    history_days: NDArray[np.int64]
    provider_confidence: NDArray[np.float64]
    last_close: NDArray[np.float64]
    adv_usd: NDArray[np.float64]
    volatility_annual: NDArray[np.float64]
    spread_bps: NDArray[np.float64]
    impact_bps: NDArray[np.float64]
    strategies: tuple[StrategyView, ...]
    blocks: StandingBlocks
    forecasts: Forecasts
    regime: RegimeBelief
    vetoes: tuple[Veto, ...]
    scenarios: ScenarioSet
    scenario_index: NDArray[np.intp]
    places: NDArray[np.intp]
    models: DayModels | None

    @property
    def content_sha256(self) -> str:
        """Digest of what the tables say: equal wherever and whenever the same night was made."""
        return str(self.content)


def _column(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return frame[name].to_numpy().astype(np.float64, copy=False)  # a null is NaN


def _codes(frame: pl.DataFrame) -> tuple[tuple[ReasonCode, ...], ...]:
    return tuple(
        tuple(_REASONS[code] for code in codes) for codes in frame["reason_codes"].to_list()
    )


def _strategies(lifecycle: pl.DataFrame, policy: Policy) -> tuple[StrategyView, ...]:
    rows = {row["strategy_id"]: row for row in lifecycle.iter_rows(named=True)}
    views = []
    for spec in policy.models.strategies:
        row = rows[spec.strategy_id]
        stage = StrategyLifecycle(row["stage"])
        views.append(
            StrategyView(
                strategy_id=spec.strategy_id,
                model_id=spec.model_id,
                stage=stage,
                stage_cap=policy.lifecycle.stage_caps.of(stage) / 100.0,
                capital_decay=float(row["capital_decay"]),
                half_life_sessions=spec.half_life_sessions,
            )
        )
    return tuple(views)


def _forecasts(
    health: pl.DataFrame, symbols: tuple[str, ...], strategies: tuple[StrategyView, ...]
) -> Forecasts:
    shape = (len(strategies), len(symbols))
    columns = {name: i for i, name in enumerate(symbols)}
    names = (
        ("mu", "mu"), ("mu_adjusted", "mu_adjusted"), ("sigma", "sigma"), ("p_loss", "p_loss"),
        ("cvar_95", "cvar_95"), ("confidence", "confidence"), ("decay", "final_decay_factor"),
        ("model_age_days", "model_age_days"), ("rolling_error", "rolling_forecast_error"),
        ("penalty", "disagreement_penalty"),
    )  # fmt: skip
    arrays = {field: np.full(shape, np.nan) for field, _ in names}
    has_flipped, is_healthy = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    reasons: dict[tuple[int, int], tuple[ReasonCode, ...]] = {}
    values = {field: _column(health, source) for field, source in names}
    flipped, healthy = (health[n].to_numpy() for n in ("autocorr_flip_detected", "is_healthy"))
    codes, model_ids = _codes(health), health["model_id"].to_numpy()
    places = np.array([columns.get(name, -1) for name in health["symbol"].to_list()], dtype=np.intp)
    for k, view in enumerate(strategies):
        mine = np.flatnonzero(model_ids == view.model_id)
        at = places[mine]
        if at.size and at.min() < 0:
            raise ValueError(f"model_decay_metrics must hold the symbols {symbols} alone")
        for field, column in values.items():
            arrays[field][k, at] = column[mine]
        has_flipped[k, at] = flipped[mine]
        is_healthy[k, at] = healthy[mine]
        reasons.update({(k, i): codes[n] for i, n in zip(at.tolist(), mine.tolist(), strict=True)})
    is_usable = is_healthy.copy()
    for place, found in reasons.items():
        is_usable[place] &= ReasonCode.SINGLE_MODEL not in found
    return Forecasts(
        model_ids=tuple(view.model_id for view in strategies),
        has_flipped=has_flipped,
        is_healthy=is_healthy,
        is_usable=is_usable,
        reasons=reasons,
        **arrays,
    )


def _models(
    tables: Mapping[str, pl.DataFrame],
    symbols: tuple[str, ...],
    last_close: NDArray[np.float64],
    policy: Policy,
) -> DayModels | None:
    if HOT_TABLE not in tables:
        return None
    night = restore_night(
        tables[HOT_TABLE], policy=policy.models.forecast, horizon=policy.cvar.horizon_days
    )
    return None if night is None else day_models(night, symbols, last_close)


def with_health(snapshot: Snapshot, tables: Mapping[str, pl.DataFrame]) -> Snapshot:
    """Lay out tables that say something else of the models' health and of nothing else.

    Parameters
    ----------
    snapshot
        Of a night, its models not hot.
    tables
        Those it was laid out from, but for ``model_decay_metrics``.
    """
    forecasts = _forecasts(tables["model_decay_metrics"], snapshot.symbols, snapshot.strategies)
    known = (snapshot.status, snapshot.is_eligible, snapshot.has_route)
    costs = (snapshot.spread_bps, snapshot.impact_bps)
    blocks = _blocks(*known, *costs, snapshot.strategies, forecasts)
    content = Digest(partial(_content_sha256, dict(tables)))
    return replace(snapshot, content=content, forecasts=forecasts, blocks=blocks)


def _blocks(
    status: tuple[SymbolStatus, ...],
    is_eligible: NDArray[np.bool_],
    has_route: NDArray[np.bool_],
    spread: NDArray[np.float64],
    cost: NDArray[np.float64],
    strategies: tuple[StrategyView, ...],
    forecasts: Forecasts,
) -> StandingBlocks:
    return standing_blocks(
        status=status,
        is_eligible=is_eligible,
        has_route=has_route,
        is_estimated=np.isfinite(spread) & np.isfinite(cost),
        stages=[view.stage for view in strategies],
        reasons=forecasts.reasons,
    )


def _scenarios(tables: Mapping[str, pl.DataFrame], policy: Policy) -> ScenarioSet:
    names = tuple(sorted(tables["market_impact"]["symbol"].to_list()))
    return scenarios_from_frame(tables["stress_scenarios"], names, config=policy.cvar)


def _scenario_index(symbols: tuple[str, ...], scenarios: ScenarioSet) -> NDArray[np.intp]:
    columns = {name: i for i, name in enumerate(scenarios.symbols)}
    return np.array([columns.get(name, -1) for name in symbols], dtype=np.intp)


def _content_sha256(tables: Mapping[str, pl.DataFrame]) -> str:
    return sha256_of({name: _frame_sha256(tables[name]) for name in LIVE_TABLES if name in tables})


# The last frames hashed, by the very frame: the steps of one night lay the same tables out again
# and again. What is handed out is a pure function of the frame: memory changes only the time.
_LAST_HASHED: list[tuple[pl.DataFrame, str]] = []
_HASHES_KEPT = 16


def _frame_sha256(frame: pl.DataFrame) -> str:
    for held, digest in _LAST_HASHED:
        if held is frame:
            return digest
    digest = frame_sha256(frame)
    _LAST_HASHED[:] = [*_LAST_HASHED[1 - _HASHES_KEPT :], (frame, digest)]
    return digest


def snapshot_from_tables(
    tables: Mapping[str, pl.DataFrame],
    *,
    snapshot_id: str,
    asof: date,
    policy: Policy,
) -> Snapshot:
    """Lay the night's tables out as arrays on one symbol axis.

    Parameters
    ----------
    tables
        At least `SNAPSHOT_TABLES`, as read back from the warehouse or the published files; with
        all `LIVE_TABLES` the models are hot.

    Raises
    ------
    ValueError
        If a table is missing a symbol or a strategy that another one has.
    """
    governed = tables["data_governance"].filter(~pl.col("is_reference")).sort("symbol")
    symbols = tuple(governed["symbol"].to_list())
    costs = tables["market_impact"]
    impact = governed.select("symbol").join(costs, on="symbol", how="left", maintain_order="left")
    strategies = _strategies(tables["strategy_lifecycle_log"], policy)
    scenarios = _scenarios(tables, policy)
    last_close = _column(impact, "last_close")
    spread, cost = _column(impact, "spread_bps"), _column(impact, "market_impact_bps")
    status = tuple(SymbolStatus(name) for name in governed["status"].to_list())
    is_eligible, has_route = (governed[n].to_numpy() for n in ("is_eligible", "has_route"))
    forecasts = _forecasts(tables["model_decay_metrics"], symbols, strategies)
    return Snapshot(
        snapshot_id=snapshot_id,
        content=Digest(partial(_content_sha256, dict(tables))),
        asof=asof,
        symbols=symbols,
        asset_class=tuple(AssetClass(name) for name in governed["asset_class"].to_list()),
        sector=tuple(governed["sector"].to_list()),
        status=status,
        symbol_reasons=_codes(governed),
        is_eligible=is_eligible,
        has_route=has_route,
        data_quality=_column(governed, "data_quality"),
        history_days=governed["history_days"].to_numpy(),
        provider_confidence=_column(governed, "provider_confidence"),
        last_close=last_close,
        adv_usd=_column(impact, "adv_usd"),
        volatility_annual=_column(impact, "volatility_annual"),
        spread_bps=spread,
        impact_bps=cost,
        strategies=strategies,
        blocks=_blocks(status, is_eligible, has_route, spread, cost, strategies, forecasts),
        forecasts=forecasts,
        regime=belief_from_row(tables["regime_beliefs"].row(0, named=True)),
        vetoes=vetoes_from_frame(tables["vetoes"], is_standing=True),
        scenarios=scenarios,
        scenario_index=_scenario_index(symbols, scenarios),
        places=np.array([symbols.index(name) for name in scenarios.symbols], dtype=np.intp),
        models=_models(tables, symbols, last_close, policy),
    )
