"""Live quotes through the real alpaca-py: what is asked, dropped, and never believed."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from instgov_dagster.adapters.markets.live.alpaca.quotes import AlpacaQuotes, SeenQuotes
from instgov_dagster.adapters.markets.live.asking import Asker
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.bars import alpaca_quote_routes
from instgov_dagster_tests.adapters.wire.server import Wire

NOW = datetime(2024, 12, 6, 15, 0, 0, 123456, tzinfo=UTC)
SYMBOLS = {
    "BRK-B": AssetClass.STOCKS,
    "SPY": AssetClass.STOCKS,
    "BTC-USD": AssetClass.CRYPTO,
    "EURUSD=X": AssetClass.FX,
    "CL=F": AssetClass.COMMODITIES,
}
STOCKS, CRYPTO = "GET /v2/stocks/quotes/latest", "GET /v1beta3/crypto/us/latest/quotes"


class Desk:
    """Quotes served on the loopback and the client that asks for them."""

    def __init__(self) -> None:
        self.quotes: dict[str, tuple[Any, Any, datetime]] = {
            "BRK.B": (470.0, 470.2, NOW),
            "SPY": (600.0, 600.1, NOW),
            "BTC/USD": (99_000.0, 99_010.5, NOW),
        }
        self.wire = Wire(alpaca_quote_routes(self.quotes))
        asker = Asker(ProviderPolicy(), clock=VirtualClock(NOW))
        word = "a-key"
        self.client = AlpacaQuotes(
            asker, SYMBOLS, key_id=word, secret=word, timeout_seconds=0.4, base_url=self.wire.url
        )


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Serve quotes for one test."""
    made = Desk()
    with made.wire:
        yield made


def _valid(seen: SeenQuotes, *, after: float = 0.0) -> dict[str, bool]:
    names = tuple(seen.quotes)
    quotes = Quotes(
        symbols=names,
        bid=np.array([seen.quotes[n].bid for n in names]),
        ask=np.array([seen.quotes[n].ask for n in names]),
        observed_at=np.array(
            [seen.quotes[n].observed_at.replace(tzinfo=None) for n in names], dtype="datetime64[us]"
        ),
    )
    instant = np.datetime64((NOW + timedelta(seconds=after)).replace(tzinfo=None), "us")
    return dict(zip(names, quotes.valid_mask(instant, 5.0).tolist(), strict=True))


def test_stocks_and_crypto_cost_one_request_each_and_nothing_else_is_asked(desk: Desk) -> None:
    seen = desk.client.latest()
    assert {n: (q.bid, q.ask) for n, q in seen.quotes.items()} == {
        "BRK-B": (470.0, 470.2), "SPY": (600.0, 600.1), "BTC-USD": (99_000.0, 99_010.5),
    }  # fmt: skip
    assert all(quote.observed_at == NOW for quote in seen.quotes.values())
    assert (desk.wire.count(STOCKS), desk.wire.count(CRYPTO), len(desk.wire.journal)) == (1, 1, 2)
    assert [asked.query["symbols"] for asked in desk.wire.journal] == ["BRK.B,SPY", "BTC/USD"]
    assert all(_valid(seen).values())


def test_a_symbol_alpaca_does_not_know_is_dropped_and_the_rest_asked_for_once_more(
    desk: Desk,
) -> None:
    del desk.quotes["BRK.B"]
    assert set(desk.client.latest().quotes) == {"SPY", "BTC-USD"}
    assert desk.wire.count(STOCKS) == 2
    assert set(desk.client.latest().quotes) == {"SPY", "BTC-USD"}
    assert desk.wire.count(STOCKS) == 3  # dropped for good: never asked for again


def test_a_refusal_that_names_no_symbol_of_ours_is_final(desk: Desk) -> None:
    desk.wire.fail(STOCKS, status=400, body=b'{"message":"invalid symbol: QQQQ"}')
    seen = desk.client.latest()
    assert set(seen.quotes) == {"BTC-USD"}
    assert seen.refused == dict.fromkeys(("BRK-B", "SPY"), ReasonCode.PROVIDER_BAD_REQUEST)
    assert desk.wire.count(STOCKS) == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"status": 401}, ReasonCode.PROVIDER_UNAUTHORIZED),
        ({"status": 403}, ReasonCode.PROVIDER_FORBIDDEN),
        ({"status": 429}, ReasonCode.PROVIDER_RATE_LIMITED),
        ({"status": 503}, ReasonCode.PROVIDER_UNAVAILABLE),
        ({"hangs": True}, ReasonCode.PROVIDER_TIMEOUT),
        ({"cuts": True}, ReasonCode.PROVIDER_TIMEOUT),
        ({"status": 200, "body": b'{"quotes":null}'}, ReasonCode.PROVIDER_MALFORMED),
        ({"status": 200, "body": b'{"quotes":{"SPY":{"t":"now"}}}'}, ReasonCode.PROVIDER_MALFORMED),
        ({"status": 200, "body": b'{"quotes":{"SPY":{"bp":NaN}}}'}, ReasonCode.PROVIDER_MALFORMED),
    ],
)
def test_a_class_that_is_refused_has_no_quotes_and_costs_one_request(
    desk: Desk, how: dict[str, Any], reason: ReasonCode
) -> None:
    desk.wire.fail(STOCKS, **how)
    seen = desk.client.latest()
    assert set(seen.quotes) == {"BTC-USD"}
    assert seen.refused == dict.fromkeys(("BRK-B", "SPY"), reason)
    assert desk.wire.count(STOCKS) == 1


@pytest.mark.parametrize(
    ("bid", "ask", "age", "is_valid"),
    [
        (600.0, 600.1, 0.0, True),
        (600.0, 600.0, 0.0, True),  # locked: normal
        (600.1, 600.0, 0.0, False),  # crossed
        (0, 600.0, 0.0, False),  # one-sided
        (None, 600.0, 0.0, False),
        (-1.0, 600.0, 0.0, False),
        (600.0, 600.1, 5.0, True),
        (600.0, 600.1, 5.1, False),  # stale
        (600.0, 600.1, -0.5, False),  # seen in the future: somebody's clock is wrong
    ],
)
def test_what_is_received_is_judged_by_the_quotes_own_rules(
    desk: Desk, bid: float | None, ask: float, age: float, is_valid: object
) -> None:
    desk.quotes["SPY"] = (bid, ask, NOW - timedelta(seconds=age))
    seen = desk.client.latest()
    assert _valid(seen)["SPY"] is is_valid
    assert math.isnan(seen.quotes["SPY"].bid) is (bid is None)
