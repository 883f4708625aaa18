"""What sessions leave for the vetoes, worked by hand on a chain of a few frames."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import Frame, Journal, bundle_tables, read_frames
from instgov_dagster.loop.folding.evidence import Evidence, gather_evidence

pytestmark = pytest.mark.roadmap("9.2")

OPEN = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
DAY, NEXT = OPEN.date(), OPEN.date() + timedelta(days=1)
MARKOUT = timedelta(minutes=5)


def book(quantity: float) -> dict[str, Any]:
    held = [["s", "X", str(quantity)]] if quantity else []
    return {"cash_usd": "0", "peak_nav_usd": "1", "holdings": held}


class Chain:
    """A loop's chain written by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal = Journal.open(folder, "loop")
        self.day = DAY

    def cycle(self, seconds: int, mark: float, quantity: float, *orders: dict[str, Any]) -> None:
        quotes = {
            "symbol": ["X"], "bid": [mark - 0.1], "ask": [mark + 0.1], "mark": [mark],
            "is_valid": [True],
        }  # fmt: skip
        columns = [
            ("client_order_id", pa.string()), ("symbol", pa.string()), ("side", pa.string()),
            ("limit_price", pa.float64()), ("decision_mid", pa.float64()),
            ("total_cost_bps", pa.float64()),
        ]  # fmt: skip
        rows = [
            {"symbol": "X", "decision_mid": mark, "total_cost_bps": 15.0, **order}
            for order in orders
        ]
        tables = {
            "orders": pa.Table.from_pylist(rows, schema=pa.schema(columns)),
            "quotes": pa.table(quotes),
        }
        at = datetime.combine(self.day, OPEN.timetz()) + timedelta(seconds=seconds)
        shares = {row["client_order_id"]: [["s", 1.0]] for row in rows}
        self._write(
            "cycle", tables, timestamp=at.isoformat(), nav_usd=1000.0, book=book(quantity),
            shares=shares,
        )  # fmt: skip

    def answer(self, name: str, status: str, held: float, **fill: Any) -> None:
        seconds = fill.pop("seconds", 0)
        at = datetime.combine(self.day, OPEN.timetz()) + timedelta(seconds=seconds)
        rows = [{"client_order_id": name, "filled_at": at, **fill}] if fill else []
        schema = pa.schema(
            [
                ("client_order_id", pa.string()), ("price", pa.float64()),
                ("mid_price", pa.float64()), ("quantity", pa.float64()),
                ("cost_usd", pa.float64()), ("is_aggressive", pa.bool_()),
                ("filled_at", pa.timestamp("us", tz="UTC")),
            ]
        )  # fmt: skip
        tables = {
            "orders": pa.table({"client_order_id": [name], "status": [status]}),
            "fills": pa.Table.from_pylist(rows, schema=schema),
        }
        self._write("outcomes", tables, book=book(held))

    def session(self, event: str, quantity: float, pnl: float = 0.0) -> None:
        results = [{"strategy_id": "s", "pnl": pnl}]
        note = {"note": pa.table({"n": [1]})}
        self._write("session", note, event=event, book=book(quantity), results=results)

    def _write(self, kind: str, tables: dict[str, pa.Table], **meta: Any) -> None:
        self._journal.append(kind, bundle_tables(tables), {"asof": self.day.isoformat(), **meta})

    def frames(self) -> Iterator[Frame]:
        return read_frames(self.folder, "loop")


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def buy(name: str = "b", limit: float = 100.1) -> dict[str, Any]:
    return {"client_order_id": name, "side": "BUY", "limit_price": limit}


def trade_one_day(chain: Chain) -> None:
    """Buy two across the spread, let one rest above the mid, sell it as the market rises."""
    chain.session("started", 0.0)
    chain.cycle(0, 100.0, 0.0, buy())
    chain.answer("b", "FILLED", 2.0, price=100.1, mid_price=100.0, quantity=2.0, cost_usd=0.1,
                 is_aggressive=True)  # fmt: skip
    chain.cycle(60, 101.0, 2.0, {"client_order_id": "s", "side": "SELL", "limit_price": 101.1})
    chain.answer("s", "RESTING", 2.0)
    chain.answer("s", "FILLED", 1.0, price=101.1, mid_price=101.2, quantity=1.0, cost_usd=0.0,
                 is_aggressive=False, seconds=120)  # fmt: skip
    chain.cycle(120, 102.0, 1.0)
    chain.cycle(420, 100.0, 1.0)
    chain.session("ended", 1.0, pnl=0.002)


def read(chain: Chain, *, after: date | None = None, before: date = date.max) -> Evidence:
    return gather_evidence(chain.frames, after=after, before=before, markout=MARKOUT)


def test_positions_times_moves_explain_and_the_model_says_what_trading_costs(
    chain: Chain,
) -> None:
    trade_one_day(chain)
    (row,) = read(chain).accounts.rows(named=True)
    # 2 units rise by 1 twice, for what rests is sold only once the quotes of 120 s are there;
    # the one that is left falls by 2: 2 + 2 - 2 of 1000.
    assert row["explained"] == pytest.approx(0.002)
    assert row["costs"] == pytest.approx((2 * 100.1 + 101.1) * 15e-4 / 1000)
    assert (row["date"], row["realised"]) == (DAY, 0.002)
    assert (row["orders"], row["errors"]) == (2.0, 0.0)


def test_every_fill_keeps_its_side_price_spread_and_both_costs(chain: Chain) -> None:
    trade_one_day(chain)
    bought, sold = read(chain).fills.rows(named=True)
    assert (bought["side"], bought["price"], bought["mid"]) == (1.0, 100.1, 100.0)
    assert bought["half_spread"] == pytest.approx(0.1)
    assert bought["cost_bps"] == pytest.approx(0.1 / 200.2 * 1e4)
    assert (bought["modelled_bps"], bought["is_aggressive"]) == (15.0, True)
    assert (sold["side"], sold["price"], sold["is_aggressive"]) == (-1.0, 101.1, False)


def test_a_passive_fill_is_worth_what_the_market_did_five_minutes_later(chain: Chain) -> None:
    trade_one_day(chain)
    (order,) = read(chain).passive.rows(named=True)
    assert order["is_filled"]
    assert order["markout_bps"] == pytest.approx((1 - 100.0 / 101.1) * 1e4)  # sold above


def test_an_order_sent_too_late_for_its_markout_says_nothing(chain: Chain) -> None:
    chain.session("started", 0.0)
    chain.cycle(0, 100.0, 0.0, buy("early", 99.9))
    chain.answer("early", "CANCELLED", 0.0)
    chain.cycle(300, 100.0, 0.0, buy("late", 99.9))
    chain.answer("late", "CANCELLED", 0.0)
    chain.session("ended", 0.0)
    assert read(chain).passive.rows() == [(DAY, "X", False, None)]


@pytest.mark.parametrize(("status", "errors"), [("REJECTED", 1.0), ("CANCELLED", 0.0)])
def test_an_order_the_broker_refused_is_an_error_of_its_strategy(
    chain: Chain, status: str, errors: float
) -> None:
    chain.session("started", 0.0)
    chain.cycle(0, 100.0, 0.0, buy())
    chain.answer("b", status, 0.0)
    chain.session("ended", 0.0)
    (row,) = read(chain).accounts.rows(named=True)
    assert (row["orders"], row["errors"]) == (1.0, errors)


def two_days(chain: Chain) -> None:
    trade_one_day(chain)
    chain.day = NEXT
    chain.session("started", 1.0)
    chain.cycle(0, 103.0, 1.0)
    chain.session("ended", 1.0, pnl=0.003)


def test_what_a_position_gains_over_the_night_is_explained_by_the_next_session(
    chain: Chain,
) -> None:
    two_days(chain)
    rows = read(chain).accounts.rows(named=True)
    assert [row["explained"] for row in rows] == pytest.approx([0.002, 0.003])


def test_reading_day_by_day_gives_what_reading_at_once_gives(chain: Chain) -> None:
    two_days(chain)
    whole, first = read(chain), read(chain, before=NEXT)
    second = read(chain, after=DAY)
    assert second.accounts["date"].to_list() == [NEXT]
    for name in ("accounts", "fills", "passive"):
        parts = getattr(first, name).vstack(getattr(second, name))
        assert parts.equals(getattr(whole, name)), name


def test_what_broke_off_counts_in_the_session_that_ends_and_only_once(chain: Chain) -> None:
    chain.session("started", 0.0)
    chain.cycle(0, 100.0, 0.0, buy())
    chain.answer("b", "FILLED", 2.0, price=100.1, mid_price=100.0, quantity=2.0, cost_usd=0.0,
                 is_aggressive=True)  # fmt: skip
    chain.cycle(60, 101.0, 2.0)
    assert read(chain, before=NEXT).fills.is_empty()
    chain.day = NEXT
    chain.session("started", 2.0)
    chain.cycle(0, 102.0, 2.0)
    chain.session("ended", 2.0, pnl=0.004)
    told = read(chain)
    (row,) = told.accounts.rows(named=True)
    assert (row["date"], row["explained"]) == (NEXT, pytest.approx(0.004))
    assert told.fills.height == 1


def test_no_chain_is_no_evidence(tmp_path: Path) -> None:
    told = read(Chain(tmp_path))
    assert told.accounts.is_empty()
    assert told.fills.is_empty()
    assert told.passive.is_empty()
