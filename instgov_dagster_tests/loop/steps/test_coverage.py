from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from instgov_dagster.adapters.config import load_policy
from instgov_dagster.bars.calendars import expected_sessions
from instgov_dagster.capital.scenarios import scenarios_to_frame
from instgov_dagster.loop.decision.book import Holding, book_to_frame, fresh_book
from instgov_dagster.loop.steps.beliefs import panel_of
from instgov_dagster.loop.steps.capital import advance_lifecycle
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.loop.steps.coverage import (
    COVERAGE_SCHEMA,
    FORECAST_SCHEMA,
    HeldReturns,
    cover_risk,
    forecast_risk,
    outcomes_by_scope,
    realised_outcomes,
)
from instgov_dagster.vocabulary.bars import AssetClass, Market, Universe
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.capital.auction.settings import crashes
from instgov_dagster_tests.capital.worlds import scenarios_of, small_config
from instgov_dagster_tests.loop.homes import CONFIG, inputs_of_no_past

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")
POLICY = replace(load_policy(CONFIG), cvar=small_config())
SCOPES = ["*", *sorted(spec.strategy_id for spec in POLICY.models.strategies)]
FIRST = SCOPES[1]
ASOF = date(2025, 3, 12)
NAMES = ("AAA", "BBB")
PAST_SCHEMA = {**FORECAST_SCHEMA, "asof": pl.Date()}


def night(asof: date = ASOF) -> NightContext:
    return NightContext(
        asof=asof,
        known_at=datetime(asof.year, asof.month, asof.day, 6, tzinfo=UTC),
        market=Market.SIMULATED,
        universe=Universe(symbols=()),
        policy=POLICY,
        entitled=frozenset(),
    )


def holdings(**quantities: int) -> pl.DataFrame:
    """A book of 1000 USD of cash and so many units, all of the first strategy."""
    rows = tuple(
        Holding(strategy_id=FIRST, symbol=symbol, quantity=Decimal(n))
        for symbol, n in sorted(quantities.items())
    )
    return book_to_frame(replace(fresh_book(1000.0), holdings=rows))


def given(portfolio: pl.DataFrame, *, close: float | None = 10.0) -> dict[str, pl.DataFrame]:
    scenarios = scenarios_of(crashes(0.1, 0.2), POLICY.cvar, NAMES)
    return {
        "portfolio": portfolio,
        "stress_scenarios": scenarios_to_frame(scenarios),
        "market_impact": pl.DataFrame({"symbol": list(NAMES), "last_close": [close, 5.0]}),
    }


def test_a_forecast_by_hand_is_the_tail_of_what_is_held_over_net_asset_value() -> None:
    # 50 units of 10 beside 1000 of cash: a third of 1500; its crash of 10 % costs 1/30.
    frame = forecast_risk(given(holdings(AAA=50)), night())
    assert frame.schema == FORECAST_SCHEMA
    assert frame["scope"].to_list() == SCOPES
    for scope in ("*", FIRST):
        row = frame.row(by_predicate=pl.col("scope") == scope, named=True)
        assert row["gross"] == pytest.approx(1 / 3)
        assert row["cvar"] == row["value_at_risk"] == pytest.approx(1 / 30)
        assert (row["symbols"], row["weights"]) == (["AAA"], [pytest.approx(1 / 3)])
        assert (row["horizon_days"], row["n_scenarios"]) == (5, 60)
        assert row["session"] == date(2020, 2, 29)  # the last scenario's end
    others = frame.filter(~pl.col("scope").is_in(["*", FIRST]))
    assert others["gross"].to_list() == others["cvar"].to_list() == [0.0] * (len(SCOPES) - 2)


def test_the_forecast_of_cash_is_nothing() -> None:
    frame = forecast_risk(given(holdings()), night())
    assert frame["cvar"].to_list() == frame["value_at_risk"].to_list() == [0.0] * len(SCOPES)
    assert frame["symbols"].list.len().sum() == 0


@pytest.mark.parametrize("close", [None, float("nan"), float("inf")])
def test_what_is_held_without_a_price_has_no_forecast(close: float | None) -> None:
    with pytest.raises(DataRejected) as refused:
        forecast_risk(given(holdings(AAA=50), close=close), night())
    assert refused.value.reason_code is ReasonCode.RISK_NOT_FINITE


def history(prices: dict[str, list[float]]) -> pl.DataFrame:
    """Closes on the last sessions before the night, one list a symbol."""
    n = len(next(iter(prices.values())))
    days = expected_sessions(AssetClass.STOCKS, date(2023, 1, 2), ASOF)[-n:]
    return pl.concat(
        pl.DataFrame(
            {"symbol": [symbol] * n, "date": days, "price": pl.Series(closes, dtype=pl.Float64)}
        ).with_columns(pl.col("date").cast(pl.Date))
        for symbol, closes in prices.items()
    )


def sessions(n: int) -> list[date]:
    found: list[date] = expected_sessions(AssetClass.STOCKS, date(2023, 1, 2), ASOF)[-n:].tolist()
    return found


def past(*rows: tuple[date, date, list[str], list[float]], **fields: Any) -> pl.DataFrame:
    """Forecasts of VaR 0.02 and CVaR 0.03: night, session, what was held."""
    return pl.DataFrame(
        [
            {
                "scope": "*",
                "session": session,
                "horizon_days": 5,
                "gross": float(np.abs(weights).sum()),
                "value_at_risk": 0.02,
                "cvar": 0.03,
                "standard_error": 0.001,
                "n_scenarios": 1250,
                "symbols": symbols,
                "weights": weights,
                "asof": asof,
                **fields,
            }
            for asof, session, symbols, weights in rows
        ],
        schema=PAST_SCHEMA,
    )


def outcomes_of(rows: pl.DataFrame, prices: dict[str, list[float]]) -> Any:
    tables = {"price_history": history(prices)}
    panel = panel_of(tables, tuple(sorted(prices)), night())
    return realised_outcomes(rows, HeldReturns(panel, config=POLICY.cvar))


def test_what_came_of_a_forecast_is_the_loss_of_the_book_held_still_for_five_sessions() -> None:
    days = sessions(10)
    prices = {"AAA": [100.0] * 4 + [100, 99, 98, 97, 96, 90.0], "BBB": [50.0] * 9 + [55.0]}
    rows = past((days[5], days[4], ["AAA", "BBB"], [0.4, 0.2]))
    found = outcomes_of(rows, prices)
    # 0.4 of a fall of 10 % less 0.2 of a rise of 10 %.
    assert found.losses == pytest.approx([0.4 * 0.10 - 0.2 * 0.10])
    assert found.ends.tolist() == [days[9]]
    assert (found.value_at_risk[0], found.cvar[0]) == (0.02, 0.03)


def test_a_forecast_whose_horizon_is_not_over_has_no_outcome() -> None:
    days = sessions(10)
    rows = past(*((day, day, ["AAA"], [0.5]) for day in days))
    found = outcomes_of(rows, {"AAA": list(np.linspace(100, 90, 10))})
    assert found.losses.size == 5
    assert found.ends.tolist() == days[5:]
    assert np.diff(found.places).tolist() == [1] * 4


def test_of_two_nights_on_one_session_the_later_book_counts() -> None:
    days = sessions(10)
    saturday, monday = days[0], days[1]
    rows = past((monday, days[0], ["AAA"], [0.2]), (saturday, days[0], ["AAA"], [0.9]))
    found = outcomes_of(rows, {"AAA": [100.0] * 5 + [90.0] * 5})
    assert found.losses == pytest.approx([0.02])


def test_cash_another_horizon_and_a_missing_price_have_no_outcome() -> None:
    days = sessions(10)
    flat = {"AAA": [100.0] * 10, "BBB": [float("nan")] * 10}
    assert outcomes_of(past((days[1], days[0], [], [])), flat).losses.size == 0
    other = past((days[1], days[0], ["AAA"], [0.5]), horizon_days=10)
    assert outcomes_of(other, flat).losses.size == 0
    assert outcomes_of(past((days[1], days[0], ["BBB"], [0.5])), flat).losses.size == 0
    long_ago = past((date(2001, 1, 3), date(2001, 1, 2), ["AAA"], [0.5]))
    assert outcomes_of(long_ago, flat).losses.size == 0


def test_every_scope_meets_the_losses_of_its_own_books_of_any_width() -> None:
    days = sessions(10)
    prices = {"AAA": [100.0] * 5 + [90.0] * 5, "BBB": [50.0] * 5 + [45.0, 60.0, 60, 60, 60]}
    both, one = ["AAA", "BBB"], ["BBB"]
    rows = pl.concat(
        [
            past((days[1], days[1], both, [0.5, 0.25]), (days[0], days[0], ["AAA"], [0.1])),
            past((days[0], days[0], one, [1.0]), (days[1], days[1], one, [-0.5]), scope=FIRST),
        ]
    )
    panel = panel_of({"price_history": history(prices)}, ("AAA", "BBB", "CCC"), night())
    found = outcomes_by_scope(rows, HeldReturns(panel, config=POLICY.cvar))
    # Five sessions from the first: A falls 10 %, B too; from the second: A 10 %, B rises 20 %.
    assert sorted(found) == ["*", FIRST]
    assert found["*"].losses == pytest.approx([0.1 * 0.1, 0.5 * 0.1 - 0.25 * 0.2])
    assert found[FIRST].losses == pytest.approx([0.1, 0.5 * 0.2])
    assert found[FIRST].ends.tolist() == days[5:7]
    alone = realised_outcomes(
        rows.filter(pl.col("scope") == FIRST), HeldReturns(panel, config=POLICY.cvar)
    )
    assert alone.losses.tolist() == found[FIRST].losses.tolist()


def test_a_lane_keeps_its_sessions_as_the_window_moves() -> None:
    days = sessions(10)
    rows = past((days[1], days[0], ["AAA"], [0.5]))
    longer = outcomes_of(rows, {"AAA": [100.0] * 10})
    panel = panel_of(
        {"price_history": history({"AAA": [100.0] * 10})}, ("AAA",), night(date(2025, 3, 13))
    )
    later = realised_outcomes(rows, HeldReturns(panel, config=POLICY.cvar))
    assert later.places.tolist() == longer.places.tolist()


def test_every_scope_is_judged_by_every_test_before_the_first_outcome() -> None:
    empty = {"past_risk_forecasts": past(), "price_history": history({"AAA": [100.0] * 10})}
    frame = cover_risk(empty, night())
    assert frame.schema == COVERAGE_SCHEMA
    assert frame["scope"].unique(maintain_order=True).to_list() == SCOPES
    assert frame.group_by("scope").len()["len"].unique().to_list() == [4]
    assert frame["passed"].all()
    assert not frame["is_judged"].any()
    assert frame["outcomes"].sum() == 0


def test_a_tail_that_was_understated_for_a_year_is_found_in_the_table() -> None:
    n = 260
    days = sessions(n)
    falling = 100 * np.cumprod(np.where(np.arange(n) % 6 == 0, 0.8, 1.02))
    rows = past(*((day, day, ["AAA"], [0.5]) for day in days))
    tables = {
        "past_risk_forecasts": rows,
        "price_history": history({"AAA": falling.tolist()}),
    }
    frame = cover_risk(tables, night()).filter(pl.col("scope") == "*")
    assert frame["is_judged"].all()
    assert not frame.filter(pl.col("test") == "e_process")["passed"].item()
    assert frame.filter(pl.col("test") == "e_process")["outcomes"].item() == n - 5


@pytest.mark.roadmap("10.3")
@pytest.mark.parametrize(
    ("value", "outcomes", "is_measured"), [(3.0, 63, True), (3.0, 62, False), (45.0, 300, True)]
)
def test_a_strategys_e_value_is_its_own_and_needs_enough_outcomes(
    value: float, outcomes: int, *, is_measured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def hear(states: Any, records: Any, **fields: Any) -> Any:
        heard.extend(records)
        return evaluate(states, records, **fields)

    from instgov_dagster.loop.steps import capital

    evaluate = capital.evaluate_lifecycle
    monkeypatch.setattr(capital, "evaluate_lifecycle", hear)
    told = {"test": "e_process", "value": value, "outcomes": outcomes, "scope": FIRST}
    health = [{"model_id": "m", "date": date(2025, 3, 11), "is_healthy": True}]
    tables = {
        **inputs_of_no_past(),
        "previous_model_trials": pl.DataFrame({"trial_number": [1]}),
        "previous_lifecycle": pl.DataFrame(schema=capital.lifecycle_to_frame([]).schema),
        "strategy_returns": pl.DataFrame(
            schema={
                "date": pl.Date,
                "strategy_id": pl.String,
                "pnl": pl.Float64,
                "gross": pl.Float64,
                "volatility_annual": pl.Float64,
            }
        ),
        "model_decay_metrics": pl.DataFrame(health),
        "cvar_coverage": pl.DataFrame([told], schema=COVERAGE_SCHEMA),
    }
    advance_lifecycle(tables, night())
    values = {record.strategy_id: record.e_value for record in heard}
    assert values[FIRST] == (value if is_measured else 20.0)
    assert {values[name] for name in SCOPES[2:]} == {20.0}
