"""A fake trading account of Alpaca: it takes orders, fills what crosses, and remembers."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from instgov_dagster_tests.adapters.wire.server import as_json

AT = datetime(2024, 12, 6, 14, 30, tzinfo=UTC)
_LONG_AGO = "1970-01-01T00:00:00+00:00"
_OPEN = {"new", "accepted", "partially_filled", "pending_cancel"}


def refusal(status: int, message: str, **more: Any) -> Response:
    """Answer as Alpaca refuses."""
    answer = as_json({"message": message, **more})
    answer.status_code = status
    return answer


@dataclass(slots=True, kw_only=True)
class Trading:
    """One account.

    Attributes
    ----------
    prices
        Bid and ask by Alpaca's own symbol; an order for another is not taken.
    liquidity
        Units that can be filled of a symbol; without an entry all of it.
    fills_on_cancel
        Client order ids whose cancellation comes too late.
    never_over
        Client order ids whose cancellation stays pending.
    now
        When what happens, happens.
    """

    cash: Decimal = Decimal(100_000)
    now: Callable[[], datetime] = lambda: AT  # a field's default
    prices: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    liquidity: dict[str, Decimal] = field(default_factory=dict)
    fills_on_cancel: set[str] = field(default_factory=set)
    never_over: set[str] = field(default_factory=set)
    positions: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)

    def named(self, client_order_id: str) -> list[dict[str, Any]]:
        """Give the orders that carry a name: one at most, whatever happened on the wire."""
        return [o for o in self.orders.values() if o["client_order_id"] == client_order_id]

    def routes(self) -> list[Route]:
        """Serve the account."""
        return [
            Route("/v2/orders", self._submit, methods=["POST"]),
            Route("/v2/orders", self._list, methods=["GET"]),
            Route("/v2/orders:by_client_order_id", self._find),
            Route("/v2/orders/{order_id}", self._cancel, methods=["DELETE"]),
            Route("/v2/account", self._account),
            Route("/v2/positions", self._positions),
        ]

    async def _submit(self, request: Request) -> Response:
        asked = await request.json()
        if self.named(asked["client_order_id"]):
            return refusal(422, "client_order_id must be unique", code=40010001)
        if asked["symbol"] not in self.prices:
            return refusal(422, f'asset "{asked["symbol"]}" not found', code=42210000)
        made = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, asked["client_order_id"])),
            "client_order_id": asked["client_order_id"],
            "symbol": asked["symbol"],
            "side": asked["side"],
            "qty": str(asked["qty"]),
            "limit_price": str(asked["limit_price"]),
            "time_in_force": asked["time_in_force"],
            "status": "accepted",
            "submitted_at": self.now().isoformat(),
            "filled_qty": "0",
            "filled_avg_price": None,
            "filled_at": None,
        }
        self.orders[made["id"]] = made
        bid, ask = self.prices[asked["symbol"]]
        price, limit = (ask if asked["side"] == "buy" else bid), Decimal(made["limit_price"])
        if (limit - price) * (1 if asked["side"] == "buy" else -1) >= 0:
            self._fill(made, price)
        return as_json(made)

    def _fill(self, order: dict[str, Any], price: Decimal) -> None:
        wanted, symbol = Decimal(order["qty"]), order["symbol"]
        quantity = min(wanted, self.liquidity.get(symbol, wanted))
        if quantity == 0:
            return
        sign = 1 if order["side"] == "buy" else -1
        self.positions[symbol] = self.positions.get(symbol, Decimal(0)) + sign * quantity
        self.cash -= sign * quantity * price
        order["filled_qty"], order["filled_avg_price"] = str(quantity), str(price)
        order["filled_at"] = self.now().isoformat()
        order["status"] = "filled" if quantity == wanted else "partially_filled"

    async def _list(self, request: Request) -> Response:
        wants_open = request.query_params.get("status", "open") == "open"
        after = datetime.fromisoformat(request.query_params.get("after", _LONG_AGO))
        found = [
            order
            for order in self.orders.values()
            if (not wants_open or order["status"] in _OPEN)
            and datetime.fromisoformat(order["submitted_at"]) > after
        ]
        found.sort(key=lambda order: str(order["submitted_at"]))
        if request.query_params.get("direction", "desc") == "desc":
            found.reverse()
        return as_json(found[: int(request.query_params.get("limit", 50))])

    async def _find(self, request: Request) -> Response:
        name = request.query_params["client_order_id"]
        found = self.named(name)
        if not found:
            return refusal(404, f"order not found for {name}", code=40410000)
        return as_json(found[0])

    async def _cancel(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["order_id"])
        if order is None:
            return refusal(404, "order not found", code=40410000)
        name = order["client_order_id"]
        if order["status"] not in _OPEN:
            return refusal(422, f"order is already {order['status']}", code=42210000)
        if name in self.fills_on_cancel:
            bid, ask = self.prices[order["symbol"]]
            self._fill(order, ask if order["side"] == "buy" else bid)
        elif name in self.never_over:
            order["status"] = "pending_cancel"
        else:
            order["status"] = "canceled"
        return Response(status_code=204)

    async def _account(self, _: Request) -> Response:
        return as_json({"id": str(uuid.UUID(int=1)), "cash": str(self.cash), "status": "ACTIVE"})

    async def _positions(self, _: Request) -> Response:
        held = [(s, q) for s, q in self.positions.items() if q]
        return as_json([{"symbol": s.replace("/", ""), "qty": str(q)} for s, q in held])
