"""Every provider times every way to fail: what it costs, what it is called, that nothing comes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from instgov_dagster.adapters.markets.live.alpaca.bars import AlpacaHistory
from instgov_dagster.adapters.markets.live.asking import Asker, ProviderRefused
from instgov_dagster.adapters.markets.live.clients import Scrubber
from instgov_dagster.adapters.markets.live.gather import Gatherer, Window
from instgov_dagster.adapters.markets.live.history import HistoryProvider, Wanted
from instgov_dagster.adapters.markets.live.plain import plain_getter
from instgov_dagster.adapters.markets.live.providers.binance import BinanceHistory
from instgov_dagster.adapters.markets.live.providers.fred import FredHistory
from instgov_dagster.adapters.markets.live.providers.polygon import PolygonHistory
from instgov_dagster.adapters.markets.live.providers.yahoo import YahooHistory
from instgov_dagster.adapters.runtime import VirtualClock
from instgov_dagster.vocabulary.bars import AssetClass, Purpose, UniverseSymbol
from instgov_dagster.vocabulary.errors import DataRejected
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy, ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.wire.bars import (
    alpaca_bar_routes,
    binance_routes,
    days_from,
    fred_routes,
    plain_bars,
    polygon_routes,
    yahoo_routes,
)
from instgov_dagster_tests.adapters.wire.server import Wire

START = date(2024, 3, 4)
DAYS = days_from(START, 5)
TIMEOUT = 0.4
MAX_PAGES = 4
NOW = datetime(2024, 3, 11, 6, tzinfo=UTC)
KEYS = ("key-in-the-test", "secret-in-the-test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One provider: what is asked, where its requests arrive, how its client is made."""

    name: str
    wanted: Wanted
    request: str
    make: Callable[[str, Asker, Path], HistoryProvider]
    routes: Callable[..., list[object]]
    served_as: str


def _wanted(symbol: str, kind: AssetClass | None, purpose: Purpose) -> Wanted:
    return Wanted(
        symbol=symbol, asset_class=kind, start=START, end=date(2024, 3, 9), purpose=purpose
    )


def _yahoo(url: str, asker: Asker, folder: Path) -> HistoryProvider:
    return YahooHistory(asker, timeout_seconds=TIMEOUT, cache_dir=folder, base_url=url)


def _polygon(url: str, asker: Asker, _: Path) -> HistoryProvider:
    get = plain_getter(TIMEOUT)
    return PolygonHistory(asker, get, key=KEYS[1], max_pages=MAX_PAGES, base_url=url)


def _binance(url: str, asker: Asker, _: Path) -> HistoryProvider:
    return BinanceHistory(asker, plain_getter(TIMEOUT), max_pages=MAX_PAGES, base_url=url)


def _fred(url: str, asker: Asker, _: Path) -> HistoryProvider:
    return FredHistory(asker, plain_getter(TIMEOUT), key=KEYS[1], base_url=url)


def _alpaca(url: str, asker: Asker, _: Path) -> HistoryProvider:
    return AlpacaHistory(
        asker,
        key_id=KEYS[0],
        secret=KEYS[1],
        timeout_seconds=TIMEOUT,
        max_pages=MAX_PAGES,
        base_url=url,
    )


_BATCH = Purpose.HISTORY_BATCH
CASES = {
    case.name: case
    for case in (
        Case(
            name="yahoo",
            wanted=_wanted("BRK-B", AssetClass.STOCKS, _BATCH),
            request="GET /v8/finance/chart/",
            make=_yahoo,
            routes=yahoo_routes,
            served_as="BRK-B",
        ),
        Case(
            name="polygon",
            wanted=_wanted("BRK-B", AssetClass.STOCKS, _BATCH),
            request="GET /v2/aggs/",
            make=_polygon,
            routes=polygon_routes,
            served_as="BRK.B",
        ),
        Case(
            name="binance",
            wanted=_wanted("BTC-USD", AssetClass.CRYPTO, _BATCH),
            request="GET /api/v3/klines",
            make=_binance,
            routes=binance_routes,
            served_as="BTCUSDT",
        ),
        Case(
            name="fred",
            wanted=_wanted("VIXCLS", None, Purpose.REFERENCE),
            request="GET /fred/",
            make=_fred,
            routes=fred_routes,
            served_as="VIXCLS",
        ),
        Case(
            name="alpaca",
            wanted=_wanted("BTC-USD", AssetClass.CRYPTO, _BATCH),
            request="GET /v1beta3/crypto/us/bars",
            make=_alpaca,
            routes=alpaca_bar_routes,
            served_as="BTC/USD",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One provider's client over its own fake, on a clock that stands still between tries."""

    case: Case
    wire: Wire
    client: HistoryProvider
    clock: VirtualClock

    def outcome(self, purpose: Purpose | None = None) -> DataRejected:
        """Ask, and give the refusal that must come; reading counts as asking."""
        wanted = self.case.wanted
        if purpose is not None:
            wanted = Wanted(
                symbol=wanted.symbol,
                asset_class=wanted.asset_class,
                start=wanted.start,
                end=wanted.end,
                purpose=purpose,
            )
        with pytest.raises(DataRejected) as refused:
            self.client.parse(self.client.fetch(wanted), wanted)
        return refused.value

    @property
    def requests(self) -> int:
        """How many requests for bars came."""
        return self.wire.count(self.case.request)


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    """Start a fake for every provider, once."""
    clock = VirtualClock(NOW)
    with ExitStack() as stack:
        benches = {}
        for name, case in CASES.items():
            bars = {case.served_as: plain_bars(case.wanted.symbol, DAYS)}
            wire = stack.enter_context(Wire(case.routes(bars)))
            asker = Asker(ProviderPolicy(), clock=clock)
            client = case.make(wire.url, asker, tmp_path_factory.mktemp(name))
            benches[name] = Bench(case=case, wire=wire, client=client, clock=clock)
        yield benches


@pytest.fixture(params=list(CASES))
def bench(request: pytest.FixtureRequest, wires: dict[str, Bench]) -> Bench:
    """Give one provider's bench, its faults and its journal empty."""
    found = wires[request.param]
    found.wire.reset()
    return found


ONCE = {
    301: ReasonCode.PROVIDER_MALFORMED,
    400: ReasonCode.PROVIDER_BAD_REQUEST,
    401: ReasonCode.PROVIDER_UNAUTHORIZED,
    403: ReasonCode.PROVIDER_FORBIDDEN,
    404: ReasonCode.PROVIDER_NOT_FOUND,
    418: ReasonCode.PROVIDER_RATE_LIMITED,
    422: ReasonCode.PROVIDER_UNPROCESSABLE,
    451: ReasonCode.PROVIDER_RESTRICTED_LOCATION,
}
AGAIN = {
    429: ReasonCode.PROVIDER_RATE_LIMITED,
    500: ReasonCode.PROVIDER_UNAVAILABLE,
    503: ReasonCode.PROVIDER_UNAVAILABLE,
}


def test_what_a_provider_sends_is_read_as_sent(bench: Bench) -> None:
    wanted = bench.case.wanted
    frame = bench.client.parse(bench.client.fetch(wanted), wanted).frame
    assert frame["date"].to_list() == DAYS
    assert frame["close"].to_list() == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert bench.requests == 1


@pytest.mark.roadmap("0.2")
@pytest.mark.parametrize("status", ONCE)
def test_a_refusal_costs_exactly_one_request(bench: Bench, status: int) -> None:
    headers = {"location": "/elsewhere"} if status == 301 else {}
    bench.wire.fail(bench.case.request, status=status, body=b"<html>no</html>", headers=headers)
    refused = bench.outcome()
    assert isinstance(refused, ProviderRefused)
    assert (refused.reason_code, refused.status) == (ONCE[status], status)
    assert bench.requests == refused.requests == 1
    assert len([a for a in bench.wire.journal if a.path == "/elsewhere"]) == 0


@pytest.mark.parametrize("status", AGAIN)
def test_what_may_pass_is_asked_three_times_in_a_batch(bench: Bench, status: int) -> None:
    bench.wire.fail(bench.case.request, status=status, body=b"Edge: Too Many Requests")
    before = bench.clock.now()
    refused = bench.outcome()
    assert isinstance(refused, ProviderRefused)
    assert (refused.reason_code, refused.status) == (AGAIN[status], status)
    assert bench.requests == refused.requests == 3
    assert (bench.clock.now() - before).total_seconds() >= 1.0 + 2.0


@pytest.mark.parametrize("how", ["hangs", "cuts"])
def test_an_answer_that_never_comes_whole_is_asked_for_three_times(bench: Bench, how: str) -> None:
    bench.wire.fail(bench.case.request, **{how: True})
    refused = bench.outcome()
    assert isinstance(refused, ProviderRefused)
    assert (refused.reason_code, refused.status) == (ReasonCode.PROVIDER_TIMEOUT, None)
    assert bench.requests == 3


@pytest.mark.parametrize("status", [429, 503])
def test_the_live_path_never_repeats_a_request(bench: Bench, status: int) -> None:
    bench.wire.fail(bench.case.request, status=status)
    assert bench.outcome(Purpose.LIVE_QUOTE).reason_code is AGAIN[status]
    assert bench.requests == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"{", b"<html>", b'{"chart":null}', b"\xff\xfe", b"[[NaN]]"],
)
def test_a_success_without_bars_is_malformed(bench: Bench, body: bytes) -> None:
    bench.wire.fail(bench.case.request, status=200, body=body)
    assert bench.outcome().reason_code is ReasonCode.PROVIDER_MALFORMED
    assert bench.requests == 1


def test_a_success_with_a_nan_in_it_is_malformed(bench: Bench) -> None:
    wanted = bench.case.wanted
    body = bench.client.fetch(wanted).replace(b"101.0", b"NaN")
    assert b"NaN" in body
    bench.wire.fail(bench.case.request, status=200, body=body)
    assert bench.outcome().reason_code is ReasonCode.PROVIDER_MALFORMED


def test_a_provider_that_recovers_in_time_is_heard(bench: Bench) -> None:
    bench.wire.fail(bench.case.request, status=503, times=2)
    assert bench.client.parse(bench.client.fetch(bench.case.wanted), bench.case.wanted)
    assert bench.requests == 3


def test_a_provider_that_asks_for_more_patience_than_there_is_is_not_asked_again(
    bench: Bench,
) -> None:
    bench.wire.fail(bench.case.request, status=429, headers={"retry-after": "3600"})
    assert bench.outcome().reason_code is ReasonCode.PROVIDER_RATE_LIMITED
    assert bench.requests == 1


def test_no_error_says_a_key(bench: Bench) -> None:
    for status in (401, 429, 503):
        bench.wire.reset()
        bench.wire.fail(bench.case.request, status=status, body=KEYS[1].encode())
        told = repr(bench.outcome())
        assert not any(key in told for key in KEYS)


HOW = {
    **{f"{status}": {"status": status, "body": b"no"} for status in (*ONCE, *AGAIN)},
    "403 with a number": {"status": 403, "body": b'{"code":40310000,"message":"no"}'},
    "403 without": {"status": 403, "body": b'{"message":"forbidden."}'},
    "200 empty": {"status": 200, "body": b""},
    "200 malformed": {"status": 200, "body": b"<html>"},
    "200 NaN": {"status": 200, "body": b'{"results":[{"c":NaN}]}'},
    "timeout": {"hangs": True},
    "cut body": {"cuts": True},
}


@pytest.mark.roadmap("0.2", "2.2")
@pytest.mark.parametrize("how", HOW)
def test_what_was_refused_stores_no_row_and_says_why(bench: Bench, how: str) -> None:
    bench.wire.fail(bench.case.request, **HOW[how])
    if bench.case.name == "alpaca":  # no route of history leads there: it is asked by itself
        assert bench.case.wanted.symbol in bench.outcome().detail
        return
    wanted, kept = bench.case.wanted, list[str]()
    gatherer = Gatherer(
        providers={bench.case.name: bench.client},
        entitled=frozenset({bench.case.name}),
        history=HistoryPolicy(),
        scrubber=Scrubber(secrets=(KEYS[1].encode(),)),
        at_once=1,
    )
    entry = UniverseSymbol(symbol=wanted.symbol, is_reference=wanted.asset_class is None)
    window = Window(start=START, end=wanted.end, history_days=5, purpose=_BATCH)
    (found,) = gatherer.gather(
        [entry],
        window,
        keep=lambda provider, symbol, _: kept.append(f"{provider} {symbol}") or "kept",  # type: ignore[func-returns-value]  # on purpose
        progress=lambda _: None,
    )
    answer = found.answer
    assert (answer.provider, answer.rows, found.frame.height) == (bench.case.name, 0, 0)
    status = HOW[how].get("status")
    reason = {**ONCE, **AGAIN}.get(status, ReasonCode.PROVIDER_MALFORMED)  # type: ignore[call-overload]  # None is none of them
    assert answer.reason_code is (ReasonCode.PROVIDER_TIMEOUT if status is None else reason)
    assert answer.requests == bench.requests == (3 if status in (None, *AGAIN) else 1)
    assert wanted.symbol in answer.detail
    # What came whole is kept before it is read; a refusal leaves nothing to keep.
    assert len(kept) == (status == 200)
