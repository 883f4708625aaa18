"""The night's veto rules on what sessions left, from recorded tables to vetoes that stand."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.governance.veto import CLEAR_SCHEMA, VETO_SCHEMA
from instgov_dagster.loop.folding.attribution import STRATEGY_RETURNS
from instgov_dagster.loop.folding.evidence import ACCOUNT_SCHEMA, FILL_SCHEMA, PASSIVE_SCHEMA
from instgov_dagster.loop.night import STEP_BY_NAME
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.steps.decision import night_snapshot, with_other_health
from instgov_dagster.loop.steps.vetoes import find_vetoes, settle
from instgov_dagster.loop.steps.vetoes.dependency import replaceable_routes, solve_without
from instgov_dagster.vocabulary.bars import AssetClass, Market
from instgov_dagster.vocabulary.governance import ALL
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF

pytestmark = [pytest.mark.roadmap("9.2"), pytest.mark.roadmap("TEST.9")]

Tables = Mapping[str, pl.DataFrame]


@pytest.fixture(scope="module")
def world(night_platform: Platform) -> tuple[dict[str, pl.DataFrame], NightContext]:
    """The inputs of the small installation's night; shared, so they are only read."""
    needs = {*STEP_BY_NAME["veto_findings"].needs, *STEP_BY_NAME["vetoes"].needs}
    with NightRun(night_platform, ASOF, run_id="reader") as night:
        return {name: night.table(name) for name in needs}, night.context


def sessions(n: int) -> list[date]:
    days = expected_sessions(AssetClass.STOCKS, ASOF - timedelta(days=3 * n + 7), ASOF)
    return [day.item() for day in days[-n:]]


def rules(frame: pl.DataFrame, trigger: str) -> list[dict[str, Any]]:
    return frame.filter(pl.col("trigger") == trigger).to_dicts()


def accounts(name: str, n: int, last: float) -> pl.DataFrame:
    """A strategy whose results are explained to a tenth of a basis point, but for the last."""
    explained = np.random.default_rng(11).normal(0.0, 1e-3, n)
    realised = explained + np.random.default_rng(12).normal(0.0, 1e-5, n)
    realised[-1] = explained[-1] + last
    columns = {
        "date": sessions(n), "strategy_id": [name] * n, "realised": realised,
        "explained": explained, "costs": np.zeros(n), "orders": np.ones(n), "errors": np.zeros(n),
    }  # fmt: skip
    return pl.DataFrame(columns, schema=ACCOUNT_SCHEMA)


def fills(n: int, day: date, **changes: Any) -> pl.DataFrame:
    modelled = np.random.default_rng(5).uniform(2.0, 12.0, n)
    columns: dict[str, Any] = {
        "date": [day] * n, "symbol": ["SPY"] * n, "side": np.ones(n), "price": np.full(n, 100.05),
        "mid": np.full(n, 100.0), "half_spread": np.full(n, 0.05),
        "cost_bps": modelled - 5.0, "modelled_bps": modelled, "is_aggressive": [True] * n,
    }  # fmt: skip
    return pl.DataFrame({**columns, **changes}, schema=FILL_SCHEMA)


def bar_of(tables: Tables, symbol: str) -> dict[str, Any]:
    rows = tables["bars"].filter(pl.col("symbol") == symbol).sort("date")
    return rows.row(-1, named=True)


def test_a_fresh_system_reports_how_little_there_is_and_accuses_nobody(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    found = find_vetoes(tables, context)
    sticky = ("unexplained", "too_perfect", "correlated")
    told = found.filter(pl.col("trigger").str.starts_with("data_dependency").not_())
    few = told.filter(
        pl.col("trigger").str.split("_").list.get(0).is_in([s.split("_")[0] for s in sticky])
    )
    assert set(few["n"].to_list()) == {0}
    assert not few["fired"].any()
    assert {row["strategy_id"] for row in rules(found, "unexplained_profits.level")} == {
        spec.strategy_id for spec in context.policy.models.strategies
    }


@pytest.mark.parametrize(("last", "fires"), [(5e-4, True), (1e-4, False), (-5e-4, True)])
def test_a_result_nothing_explains_vetoes_the_strategy_on_every_symbol(
    world: tuple[dict[str, pl.DataFrame], NightContext], last: float, *, fires: bool
) -> None:
    tables, context = world
    told = {**tables, "session_accounts": accounts("momentum", 64, last)}
    level = {
        r["strategy_id"]: r for r in rules(find_vetoes(told, context), "unexplained_profits.level")
    }
    assert level["momentum"]["fired"] is fires
    assert level["momentum"]["statistic"] == pytest.approx(abs(last))
    assert (level["momentum"]["threshold"], level["momentum"]["n"]) == (pytest.approx(2e-4), 63)
    assert not level["reversal"]["fired"]


def test_what_an_operator_cleared_is_judged_on_what_came_after(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    told = {**tables, "session_accounts": accounts("momentum", 64, 5e-4)}
    raised = settle({**told, "veto_findings": find_vetoes(told, context)}, context)
    (veto,) = raised.filter(pl.col("reason_code") == "VETO_UNEXPLAINED_PROFITS").to_dicts()
    assert (veto["strategy_id"], veto["symbol"], veto["is_standing"]) == ("momentum", ALL, True)
    cleared = raised.with_columns(cleared_on=pl.lit(ASOF))
    again = find_vetoes({**told, "previous_vetoes": cleared}, context)
    level = {r["strategy_id"]: r for r in rules(again, "unexplained_profits.level")}
    assert (level["momentum"]["fired"], level["momentum"]["n"]) == (False, 0)


def test_an_operators_clearing_ends_the_veto_tonight(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    told = {**tables, "session_accounts": accounts("momentum", 64, 5e-4)}
    found = {**told, "veto_findings": find_vetoes(told, context)}
    key = {
        "strategy_id": ["momentum"], "symbol": [ALL], "raised_on": [ASOF],
        "reason_code": ["VETO_UNEXPLAINED_PROFITS"], "operator": ["risk"], "reason": ["explained"],
        "sequence": [1],
    }  # fmt: skip
    clears = pl.DataFrame(key, schema=CLEAR_SCHEMA)
    settled = settle({**found, "veto_clears": clears}, context)
    (veto,) = settled.filter(pl.col("reason_code") == "VETO_UNEXPLAINED_PROFITS").to_dicts()
    assert (veto["is_standing"], veto["cleared_on"]) == (False, ASOF)


def test_one_fill_outside_its_session_s_bar_vetoes_the_symbol(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    bar = bar_of(tables, "SPY")
    for price, fires in ((bar["high"] * 1.001, True), ((bar["high"] + bar["low"]) / 2, False)):
        one = fills(1, bar["date"], price=[price], mid=[price], half_spread=[0.0])
        found = find_vetoes({**tables, "recorded_fills": one}, context)
        (row,) = rules(found, "too_perfect_execution.bar")
        assert (row["strategy_id"], row["symbol"], row["fired"]) == (ALL, "SPY", fires)
        assert row["n"] == 1


def test_a_fill_of_an_earlier_session_was_held_against_its_bar_before(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    old, new = sessions(2)
    told = pl.concat(
        [fills(1, old, price=[1e6]), fills(1, new, price=[bar_of(tables, "SPY")["low"]])]
    )
    (row,) = rules(
        find_vetoes({**tables, "recorded_fills": told}, context), "too_perfect_execution.bar"
    )
    assert (row["n"], row["fired"]) == (1, False)


def test_twenty_fills_all_better_than_the_mid_are_vetoed_and_ordinary_ones_are_not(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    day = sessions(1)[0]
    perfect = fills(20, day, price=[99.9] * 20, cost_bps=[0.0] * 20)
    (row,) = rules(
        find_vetoes({**tables, "recorded_fills": perfect}, context),
        "too_perfect_execution.better_than_mid",
    )
    assert (row["fired"], row["statistic"], row["n"]) == (True, 1.0, 20)
    ordinary = find_vetoes({**tables, "recorded_fills": fills(20, day)}, context)
    for name in ("better_than_mid", "slippage_deviation"):
        (row,) = rules(ordinary, f"too_perfect_execution.{name}")
        assert (row["fired"], row["n"]) == (False, 20), name


@pytest.mark.parametrize(("filled", "fires"), [(20, True), (18, False)])
def test_passive_orders_nearly_all_filled_at_no_cost_are_vetoed(
    world: tuple[dict[str, pl.DataFrame], NightContext], filled: int, *, fires: bool
) -> None:
    tables, context = world
    columns = {
        "date": [sessions(1)[0]] * 20, "symbol": ["KO"] * 20,
        "is_filled": [n < filled for n in range(20)],
        "markout_bps": [1.0 if n < filled else None for n in range(20)],
    }  # fmt: skip
    told = {**tables, "passive_orders": pl.DataFrame(columns, schema=PASSIVE_SCHEMA)}
    (row,) = rules(find_vetoes(told, context), "too_perfect_execution.passive")
    assert (row["symbol"], row["fired"], row["n"]) == ("KO", fires, 20)


def test_winners_that_are_one_bet_are_vetoed_by_name_and_losers_are_not(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    names = [spec.strategy_id for spec in context.policy.models.strategies]
    shared = np.random.default_rng(2).normal(1e-4, 1e-3, 63)
    shared += 1e-4 - shared.mean()
    rows = [
        pl.DataFrame(
            {
                "date": sessions(63), "strategy_id": [name] * 63,
                "pnl": shared * (1 if k < 3 else -1), "gross": [0.02] * 63,
                "volatility_annual": [0.08] * 63,
            },
            schema=STRATEGY_RETURNS,
        )
        for k, name in enumerate(names)
    ]  # fmt: skip
    told = {**tables, "strategy_returns": pl.concat(rows)}
    found = find_vetoes(told, context)
    fired = rules(found, "correlated_wins.correlation")
    assert [(row["strategy_id"], row["fired"]) for row in fired] == [
        (n, True) for n in sorted(names[:3])
    ]
    settled = settle({**told, "veto_findings": found}, context)
    wins = settled.filter(pl.col("reason_code") == ReasonCode.VETO_CORRELATED_WINS.value)
    assert sorted(wins["strategy_id"].to_list()) == sorted(names[:3])


def test_without_the_last_bar_the_auction_is_solved_on_the_forecasts_of_the_day_before(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    told = solve_without(tables, context)
    assert set(told.without) == {"last_bar"}, "one simulation is the only route of every class"
    assert told.weights.sum() > 0.0
    assert not np.array_equal(told.weights, told.without["last_bar"])
    (row,) = rules(find_vetoes(tables, context), "data_dependency.last_bar")
    moved = np.abs(told.weights - told.without["last_bar"]).sum() / (2 * told.weights.sum())
    assert row["statistic"] == pytest.approx(moved)
    assert row["threshold"] == context.policy.veto.dependency_share


def test_a_night_of_other_health_is_laid_out_as_its_tables_alone_would_be(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    tables = {**tables, "vetoes": pl.DataFrame(schema=VETO_SCHEMA)}
    health = tables["model_decay_metrics"].with_columns(
        mu=pl.col("mu") * 2.0, is_healthy=~pl.col("is_healthy")
    )
    other = {**tables, "model_decay_metrics": health}
    found = with_other_health(night_snapshot(tables, context), other)
    wanted = night_snapshot(other, context)
    assert found.content_sha256 == wanted.content_sha256
    assert found.content_sha256 != night_snapshot(tables, context).content_sha256
    assert np.array_equal(found.forecasts.mu, wanted.forecasts.mu, equal_nan=True)
    assert np.array_equal(found.forecasts.is_usable, wanted.forecasts.is_usable)
    assert (found.blocks.forecast, found.blocks.silent) == (
        wanted.blocks.forecast,
        wanted.blocks.silent,
    )


def test_a_book_on_bars_revised_tonight_is_vetoed_where_it_stands_on_them(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    bought = dict(zip((told := solve_without(tables, context)).symbols, told.weights, strict=True))
    names = [name for name, weight in bought.items() if weight > 0.0]
    is_new = pl.col("symbol").is_in(names) & (pl.col("date") == pl.col("date").max())
    revised = tables["bars"].with_columns(
        is_restated=is_new,
        known_at=pl.when(is_new).then(pl.lit(context.known_at)).otherwise("known_at"),
    )
    found = find_vetoes({**tables, "bars": revised}, context)
    fired = rules(found, "data_dependency.stale_gross")
    assert {row["symbol"] for row in fired} <= set(names)
    assert all(row["fired"] and row["statistic"] > 0.2 for row in fired)


def test_a_provider_with_a_stand_in_is_left_out_and_an_only_route_is_not() -> None:
    governed = pl.DataFrame(
        {
            "symbol": ["SPY", "BTC-USD", "EURUSD=X"], "is_eligible": [True] * 3,
            "asset_class": ["STOCKS", "CRYPTO", "FX"], "provider": ["yahoo", "binance", "yahoo"],
        }
    )  # fmt: skip

    class Live:
        market = Market.LIVE
        entitled = frozenset({"yahoo", "polygon", "binance"})

    context: Any = Live()
    assert replaceable_routes(governed, context) == {
        "yahoo": frozenset({"SPY"}), "binance": frozenset({"BTC-USD"}),
    }  # fmt: skip
    context.entitled = frozenset({"yahoo"})
    assert replaceable_routes(governed, context) == {"binance": frozenset({"BTC-USD"})}


def test_a_decayed_model_and_bad_data_are_conditions_of_tonight(
    world: tuple[dict[str, pl.DataFrame], NightContext],
) -> None:
    tables, context = world
    model = context.policy.models.strategies[0]
    decayed = tables["model_decay_metrics"].with_columns(
        final_decay_factor=pl.when(
            (pl.col("model_id") == model.model_id) & (pl.col("symbol") == "KO")
        )
        .then(0.05)
        .otherwise("final_decay_factor")
    )
    bad = tables["data_quality"].with_columns(
        quality_score=pl.when(pl.col("symbol") == "JPM").then(0.4).otherwise("quality_score")
    )
    told = {**tables, "model_decay_metrics": decayed, "data_quality": bad}
    settled = settle({**told, "veto_findings": find_vetoes(told, context)}, context)
    held = {(r["reason_code"], r["symbol"]): r for r in settled.to_dicts() if r["is_standing"]}
    assert held["VETO_MODEL_DECAY", "KO"]["statistic"] == 0.05
    assert held["VETO_QUALITY", "JPM"]["threshold"] == context.policy.quality.invalid_below
    empty = {**told, "previous_vetoes": settled, "veto_findings": find_vetoes(tables, context)}
    assert "JPM" not in settle(empty, context)["symbol"].to_list()
    assert pl.DataFrame(schema=VETO_SCHEMA).columns == settled.columns
