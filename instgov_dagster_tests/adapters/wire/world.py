"""All that the market `live` talks to, on one port: charts, quotes and a trading account."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from instgov_dagster.adapters.config import load_universe
from instgov_dagster.adapters.markets.live.alpaca.bars import alpaca_symbol
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.runtime import RealClock, VirtualClock
from instgov_dagster.bars.classify import class_of
from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster_tests.adapters.wire.bars import (
    alpaca_quote_routes,
    fred_routes,
    rows_by_symbol,
    yahoo_routes,
)
from instgov_dagster_tests.adapters.wire.server import Wire
from instgov_dagster_tests.adapters.wire.trading import Trading
from instgov_dagster_tests.loop.homes import write_config

KEYS = {
    "ALPACA_API_KEY_ID": "PKLOOPBACKKEYID",
    "ALPACA_API_SECRET_KEY": "loopback-secret-of-alpaca",
    "POLYGON_API_KEY": "loopback-key-of-polygon",
    "FRED_API_KEY": "loopback-key-of-fred",
    "INSTGOV_YAHOO_PERSONAL_USE": "1",
}
#: A reference series of FRED's in the small live universe.
SERIES = "VIXCLS"
SECRETS = tuple(value.encode() for value in KEYS.values() if len(value) > 1)
_HALF_SPREAD = Decimal("0.0002")
_CENT = Decimal("0.01")


class TickingClock(VirtualClock):
    """A clock that moves a millisecond whenever it is looked at: no two writes at one instant."""

    def now(self) -> datetime:
        """Move on and return the instant."""
        self.advance(timedelta(milliseconds=1))
        return super().now()


class ShiftedClock(RealClock):
    """The machine's clock, set to another day: several processes may share it by its shift."""

    def __init__(self, shift: timedelta) -> None:
        self.shift = shift

    @classmethod
    def at(cls, instant: datetime) -> Self:
        """Set a clock to an instant, from where it goes on."""
        return cls(instant - RealClock().now())

    def now(self) -> datetime:
        """Return the shifted instant."""
        return super().now() + self.shift


def write_live_config(folder: Path) -> Path:
    """Write the rules of a small live installation: the loopback need not be spared."""
    config = write_config(folder)
    policy = config / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    for shipped in ("alpaca: 180.0", "yahoo: 60.0"):
        text = text.replace(shipped, f"{shipped.split(':')[0]}: 60000.0")
    # Nor does a busy machine say anything about a broker.
    text = text.replace("broker_timeout_seconds: 2.0", "broker_timeout_seconds: 10.0")
    policy.write_text(text, encoding="utf-8")
    with (config / "universe.yaml").open("a", encoding="utf-8") as universe:
        universe.write(f"  - {{symbol: {SERIES}, is_reference: true}}\n")
    return config


class Prices(Mapping[str, tuple[Any, Any, datetime]]):
    """Bid and ask of each symbol by Alpaca's spelling, seen at the very instant of asking."""

    def __init__(
        self, prices: Mapping[str, tuple[Decimal, Decimal]], now: Callable[[], datetime]
    ) -> None:
        self.prices, self.now = prices, now

    def __getitem__(self, name: str) -> tuple[Any, Any, datetime]:
        bid, ask = self.prices[name]
        return float(bid), float(ask), self.now()

    def __iter__(self) -> Iterator[str]:
        return iter(self.prices)

    def __len__(self) -> int:
        return len(self.prices)


class LiveWorld:
    """One simulated world as the real services would serve it; enter it to have them listen.

    Parameters
    ----------
    cash
        What the account holds.
    now
        The services' own clock.

    Attributes
    ----------
    trading
        The account at Alpaca.
    wire
        The port, its journal of requests and its faults.
    """

    def __init__(
        self,
        config: Path,
        *,
        asof: date,
        now: Callable[[], datetime],
        cash: Decimal = Decimal(10_000_000),
    ) -> None:
        universe = load_universe(config)
        names = [entry.symbol for entry in universe.symbols if entry.symbol != SERIES]
        frame = (
            SimulatedMarket(universe, seed=7)
            .fetch(names, asof - timedelta(days=4000), asof, asof)
            .frame
        )
        bars = rows_by_symbol(frame)
        prices: dict[str, tuple[Decimal, Decimal]] = {}
        for entry in universe.symbols:
            kind = class_of(entry)
            if kind not in (AssetClass.STOCKS, AssetClass.CRYPTO) or entry.is_reference:
                continue
            last = Decimal(repr(bars[entry.symbol][-1]["close"]))
            bid, ask = ((last * (1 + side * _HALF_SPREAD)).quantize(_CENT) for side in (-1, 1))
            prices[alpaca_symbol(entry.symbol, kind)] = (bid, max(ask, bid + _CENT))
        self.trading = Trading(cash=cash, prices=prices, now=now)
        routes = [
            *alpaca_quote_routes(Prices(prices, now)), *self.trading.routes(), *yahoo_routes(bars),
            *fred_routes({SERIES: bars["^VIX"]}),
        ]  # fmt: skip
        self.wire = Wire(routes)

    def environment(self) -> dict[str, str]:
        """Give keys and addresses as a user would set them."""
        places = ("YAHOO", "FRED", "ALPACA_DATA", "ALPACA_TRADING")
        return {**KEYS, **{f"INSTGOV_{place}_URL": self.wire.url for place in places}}

    def __enter__(self) -> Self:
        self.wire.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wire.__exit__(kind, error, trace)
