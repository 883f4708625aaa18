"""Cycles, fills and nights as journal frames: tables and facts, no wall clock inside."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.account import OrderOutcome
from instgov_dagster.adapters.journal import bundle_tables
from instgov_dagster.capital.execution.costs import PREDICTED_COLUMNS
from instgov_dagster.governance.decisions import decisions_to_frame
from instgov_dagster.governance.state.rows import cause_to_dict
from instgov_dagster.loop.cycle import CycleDecision
from instgov_dagster.loop.decision.book import Book, book_to_dict
from instgov_dagster.loop.decision.rows import allocations_frame, order_name
from instgov_dagster.vocabulary.audit import Order
from instgov_dagster.vocabulary.reasons import ReasonCode

CYCLE_KIND = "cycle"
FILLS_KIND = "outcomes"
SESSION_KIND = "session"
NIGHT_KIND = "night"
PLANNED = "PLANNED"
_SCALED = ReasonCode.CVAR_BREACH_SCALED.value

_MONEY = pa.decimal128(20, 8)
_INSTANT = pa.timestamp("us", tz="UTC")
_ORDER_SCHEMA = pa.schema(
    [
        ("client_order_id", pa.string()),
        ("cycle_id", pa.string()),
        ("decision_sequence", pa.int64()),
        ("symbol", pa.string()),
        ("side", pa.string()),
        ("quantity", _MONEY),
        ("limit_price", _MONEY),
        ("status", pa.string()),
        ("reason_codes", pa.list_(pa.string())),
        *((name, pa.float64()) for name in PREDICTED_COLUMNS),
    ]
)
_FILL_SCHEMA = pa.schema(
    [
        ("client_order_id", pa.string()),
        ("cycle_id", pa.string()),
        ("symbol", pa.string()),
        ("side", pa.string()),
        ("sequence", pa.int64()),
        ("quantity", _MONEY),
        ("price", _MONEY),
        ("mid_price", _MONEY),
        ("cost_usd", _MONEY),
        ("is_aggressive", pa.bool_()),
        ("filled_at", _INSTANT),
    ]
)
_CASH_SCHEMA = pa.schema(
    [
        ("cycle_id", pa.string()),
        ("sequence", pa.int64()),
        ("entry", pa.string()),
        ("symbol", pa.string()),
        ("client_order_id", pa.string()),
        ("amount_usd", _MONEY),
        ("balance_usd", _MONEY),
    ]
)


def quotes_table(decision: CycleDecision) -> pa.Table:
    """Lay out what the cycle saw: the quotes, which are its inputs, and the marks they gave."""
    quotes = decision.quotes
    # Where every market trades nothing is said of it.
    hours = {} if quotes.is_open is None else {"is_open": quotes.is_open}
    return pa.table(
        {
            **hours,
            "symbol": list(quotes.symbols),
            "bid": quotes.bid,
            "ask": quotes.ask,
            "observed_at": pa.array(quotes.observed_at).cast(pa.timestamp("us")),
            "is_valid": decision.valued.has_quote,
            "mark": decision.valued.marks,
            "held_weight": decision.valued.net,
        }
    )


def _order_row(order: Order, status: str, reason_codes: Sequence[str]) -> dict[str, Any]:
    return {
        "client_order_id": order.client_order_id,
        "cycle_id": order.cycle_id,
        "decision_sequence": order.decision_sequence,
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "status": status,
        "reason_codes": list(reason_codes),
    }


def orders_table(
    decision: CycleDecision, orders: Sequence[Order], reasons: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Lay out the orders a cycle means to send, before any is sent, with what each should cost."""
    mids = dict(zip(decision.quotes.symbols, decision.quotes.mid().tolist(), strict=True))
    impacts = {order_name(decision.cycle_id, order): order.impact for order in decision.orders}
    rows = []
    for order in orders:
        impact = impacts[order.client_order_id]
        row = _order_row(order, PLANNED, reasons[order.client_order_id])
        row["decision_mid"] = mids[order.symbol]
        row["temporary_impact_bps"] = impact.temporary_impact_bps
        row["permanent_impact_bps"] = impact.permanent_impact_bps
        row["spread_cost_bps"] = impact.spread_cost_bps
        row["total_cost_bps"] = impact.total_cost_bps
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=_ORDER_SCHEMA)


def cycle_tables(
    decision: CycleDecision, orders: Sequence[Order], reasons: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Bundle all that one cycle saw and decided into one frame's table; decisions come first."""
    return bundle_tables(
        {
            "governance_decisions": decisions_to_frame(decision.decisions).to_arrow(),
            "capital_allocations": allocations_frame(decision).to_arrow(),
            "orders": orders_table(decision, orders, reasons),
            "quotes": quotes_table(decision),
        }
    )


def cycle_meta(decision: CycleDecision, book: Book, **facts: Any) -> dict[str, Any]:
    """Name the facts of one cycle: inputs, state, risk, auction; all of them replayable."""
    auction, risk = decision.auction, decision.risk
    proof = auction.certificate
    return {
        "cycle_id": decision.cycle_id,
        "asof": decision.asof.isoformat(),
        "timestamp": decision.told.timestamp.isoformat(),
        "snapshot_id": decision.snapshot_id,
        "inputs_hash": decision.inputs_hash,
        "forecasts_sha256": decision.forecasts.sha256,
        "is_late": decision.told.is_late,
        "is_stale": decision.told.is_stale,
        "is_cold": decision.told.is_cold,
        "has_target": not decision.found.is_scaled,
        "reason_codes": [_SCALED] if decision.found.is_scaled else [],
        "state": decision.told.system.name.value,
        "causes": [cause_to_dict(cause) for cause in decision.told.system.causes],
        "nav_usd": decision.valued.nav_usd,
        "gross": float(abs(decision.valued.net).sum()),
        "drawdown": decision.valued.drawdown,
        "cvar": {name.value: value for name, value in risk.measures},
        "cvar_gate": risk.gate,
        "cvar_standard_error": risk.standard_error,
        "auction": {
            "status": auction.status.value,
            "hurdle": auction.hurdle,
            "lambda_star": auction.lambda_star,
            "objective": proof.objective if proof else None,
            "gap": proof.gap if proof else None,
            "reason_codes": [code.value for code in auction.reason_codes],
        },
        "book": book_to_dict(book),
        **facts,
    }


def fills_tables(
    outcomes: Sequence[OrderOutcome],
    ledger: Sequence[Mapping[str, Any]],
) -> pa.Table:
    """Bundle what the broker answered: the orders' outcomes, the fills, the cash they moved."""
    orders = [
        _order_row(outcome.order, outcome.status.value, [str(c) for c in outcome.reason_codes])
        for outcome in outcomes
    ]
    fills = [
        {
            "client_order_id": fill.client_order_id,
            "cycle_id": fill.cycle_id,
            "symbol": fill.symbol,
            "side": fill.side.value,
            "sequence": fill.sequence,
            "quantity": fill.quantity,
            "price": fill.price,
            "mid_price": fill.mid_price,
            "cost_usd": fill.cost_usd,
            "is_aggressive": fill.is_aggressive,
            "filled_at": fill.filled_at,
        }
        for outcome in outcomes
        for fill in outcome.fills
    ]
    return bundle_tables(
        {
            "orders": pa.Table.from_pylist(orders, schema=_ORDER_SCHEMA),
            "fills": pa.Table.from_pylist(fills, schema=_FILL_SCHEMA),
            "cash_ledger": pa.Table.from_pylist(list(ledger), schema=_CASH_SCHEMA),
        }
    )
