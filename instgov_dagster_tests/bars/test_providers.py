"""Who may be asked for what: the separation is absolute and a refusal is an answer."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.bars.providers import (
    CAPABILITIES,
    entitled_providers,
    provider_verdict,
    reason_for_status,
    require_outside_live_loop,
    route,
    select_provider,
    tries_allowed,
)
from instgov_dagster.vocabulary.bars import AssetClass, Market, Purpose
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.policy.bars import ProviderPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

ALL = frozenset(CAPABILITIES)
EVERYTHING = {
    "ALPACA_API_KEY_ID": "k",
    "ALPACA_API_SECRET_KEY": "s",
    "POLYGON_API_KEY": "k",
    "FRED_API_KEY": "k",
    "INSTGOV_YAHOO_PERSONAL_USE": "1",
}


@pytest.mark.roadmap("1.2")
def test_the_capability_matrix_is_the_specified_one() -> None:
    stocks, fx, crypto, commodities = (
        AssetClass.STOCKS,
        AssetClass.FX,
        AssetClass.CRYPTO,
        AssetClass.COMMODITIES,
    )
    table = {
        name: (set(row.asset_classes), row.max_history_days, row.requires_entitlement)
        for name, row in CAPABILITIES.items()
    }
    assert table == {
        "alpaca": ({stocks, crypto}, 730, True),
        "yahoo": ({stocks, fx, crypto, commodities}, 5000, True),
        "polygon": ({stocks, fx, crypto}, 5000, True),
        "binance": ({crypto}, 1000, False),
        "fred": (set(), 20_000, True),
    }


@pytest.mark.roadmap("1.2")
def test_the_capability_matrix_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        CAPABILITIES["alpaca"] = CAPABILITIES["yahoo"]  # type: ignore[index]  # the point
    with pytest.raises(AttributeError):
        CAPABILITIES["alpaca"].max_history_days = 9999  # type: ignore[misc]  # the point


@pytest.mark.roadmap("1.3", "1.4", "TEST.2")
@pytest.mark.parametrize(
    ("symbol", "days", "purpose", "entitled", "provider"),
    [
        ("AAPL", 1825, "history_batch", ALL, "yahoo"),
        ("AAPL", 1825, "history_batch", {"polygon"}, "polygon"),
        ("AAPL", 1825, "stress_batch", {"polygon"}, "polygon"),
        ("EURUSD=X", 1825, "history_batch", ALL, "yahoo"),
        ("EURUSD=X", 1825, "history_batch", {"polygon"}, "NO_VALID_PROVIDER"),
        ("CL=F", 1825, "history_batch", ALL, "yahoo"),
        ("CL=F", 1825, "history_batch", {"polygon", "binance"}, "NO_VALID_PROVIDER"),
        ("BTC-USD", 1825, "history_batch", ALL, "yahoo"),
        ("BTC-USD", 1000, "history_batch", {"binance"}, "binance"),
        ("BTC-USD", 1825, "history_batch", {"binance"}, "NO_VALID_PROVIDER"),
        ("BTC-USD", 1000, "history_batch", {"polygon"}, "NO_VALID_PROVIDER"),
        ("AAPL", 1825, "history_batch", {"alpaca", "binance", "fred"}, "NO_VALID_PROVIDER"),
        ("AAPL", 0, "live_quote", ALL, "alpaca"),
        ("AAPL", 0, "execution", ALL, "alpaca"),
        ("BTC-USD", 0, "live_quote", ALL, "alpaca"),
        ("AAPL", 0, "live_quote", ALL - {"alpaca"}, "NO_VALID_PROVIDER"),
        ("EURUSD=X", 0, "live_quote", ALL, "NO_VALID_PROVIDER"),
        ("CL=F", 0, "execution", ALL, "NO_VALID_PROVIDER"),
        ("^VIX", 1825, "reference", ALL, "yahoo"),
        ("^VIX", 1825, "history_batch", ALL, "yahoo"),
        ("^VIX", 0, "execution", ALL, "NO_VALID_PROVIDER"),
        ("DGS10", 9000, "reference", ALL, "fred"),
        ("AAPL", 5001, "history_batch", ALL, "NO_VALID_PROVIDER"),
    ],
)
def test_every_row_of_the_separation_holds(
    symbol: str, days: int, purpose: str, entitled: set[str], provider: str
) -> None:
    assert select_provider(symbol, days, purpose, frozenset(entitled)) == provider


@pytest.mark.roadmap("1.3", "TEST.2")
@given(
    symbol=st.text(max_size=8),
    days=st.integers(-10, 10_000),
    purpose=st.one_of(st.sampled_from([*Purpose]), st.text(max_size=5)),
    entitled=st.frozensets(st.sampled_from(sorted(CAPABILITIES))),
)
def test_selection_never_raises_and_names_only_the_entitled(
    symbol: str, days: int, purpose: str, entitled: frozenset[str]
) -> None:
    provider = select_provider(symbol, days, purpose, entitled)
    assert provider == "NO_VALID_PROVIDER" or provider in entitled


@pytest.mark.roadmap("1.4")
@given(
    symbol=st.sampled_from(["AAPL", "EURUSD=X", "BTC-USD", "CL=F", "^VIX"]),
    days=st.integers(0, 5000),
    entitled=st.frozensets(st.sampled_from(sorted(CAPABILITIES))),
)
def test_alpaca_never_serves_history_and_alone_serves_the_live_path(
    symbol: str, days: int, entitled: frozenset[str]
) -> None:
    for purpose in (Purpose.HISTORY_BATCH, Purpose.STRESS_BATCH, Purpose.REFERENCE):
        assert select_provider(symbol, days, purpose, entitled) != "alpaca"
    for purpose in (Purpose.LIVE_QUOTE, Purpose.EXECUTION):
        answer = select_provider(symbol, days, purpose, entitled)
        assert answer in {"alpaca", "NO_VALID_PROVIDER"}


@pytest.mark.roadmap("0.1", "3.2")
@pytest.mark.parametrize("purpose", ["live_quote", "execution"])
def test_more_than_730_days_on_the_live_path_are_refused_with_their_reason(purpose: str) -> None:
    allowed = provider_verdict("AAPL", 730, purpose, ALL)
    assert (allowed.provider, allowed.reason_code) == ("alpaca", ReasonCode.PROVIDER_SELECTED)
    refused = provider_verdict("AAPL", 731, purpose, ALL)
    assert refused.provider == "NO_VALID_PROVIDER"
    assert refused.reason_code is ReasonCode.LIVE_HISTORY_FORBIDDEN


@pytest.mark.roadmap("1.3")
@pytest.mark.parametrize(
    ("symbol", "days", "purpose", "entitled", "reason"),
    [
        ("AAPL", 1825, "history_batch", frozenset(), ReasonCode.PROVIDER_NOT_ENTITLED),
        ("AAPL", 9999, "history_batch", ALL, ReasonCode.NO_VALID_PROVIDER),
        ("CL=F", 0, "execution", ALL, ReasonCode.SIM_ONLY),
        ("AAPL", 1825, "gossip", ALL, ReasonCode.NO_VALID_PROVIDER),
        ("", 1825, "history_batch", ALL, ReasonCode.NO_VALID_PROVIDER),
        ("AAPL", -1, "history_batch", ALL, ReasonCode.NO_VALID_PROVIDER),
    ],
)
def test_a_refusal_says_why(
    symbol: str, days: int, purpose: str, entitled: frozenset[str], reason: ReasonCode
) -> None:
    verdict = provider_verdict(symbol, days, purpose, entitled)
    assert not verdict.is_selected
    assert verdict.reason_code is reason


@pytest.mark.roadmap("0.1", "3.2")
def test_history_asked_for_inside_the_live_loop_stops_everything() -> None:
    require_outside_live_loop(is_live_loop=False, symbol="AAPL", history_days=1825)
    with pytest.raises(SystemHalt, match="1825 days of AAPL") as e:
        require_outside_live_loop(is_live_loop=True, symbol="AAPL", history_days=1825)
    assert e.value.reason_code is ReasonCode.HISTORY_IN_LIVE_LOOP


@pytest.mark.roadmap("1.5", "TEST.2")
@pytest.mark.parametrize(
    ("environment", "days", "entitled"),
    [
        ({}, 730, {"binance"}),
        ({}, 1825, set()),
        (EVERYTHING, 730, {"alpaca", "yahoo", "polygon", "fred", "binance"}),
        (EVERYTHING, 1825, {"yahoo", "fred"}),
        (EVERYTHING | {"POLYGON_MAX_HISTORY_DAYS": "1825"}, 1825, {"yahoo", "fred", "polygon"}),
        (EVERYTHING | {"POLYGON_MAX_HISTORY_DAYS": "99999"}, 5001, {"fred"}),
        ({"ALPACA_API_KEY_ID": "k"}, 10, {"binance"}),
        ({"ALPACA_API_KEY_ID": "k", "ALPACA_API_SECRET_KEY": " "}, 10, {"binance"}),
        ({"INSTGOV_YAHOO_PERSONAL_USE": "yes"}, 10, {"binance"}),
        ({"INSTGOV_YAHOO_PERSONAL_USE": "1"}, 1825, {"yahoo"}),
    ],
)
def test_entitlement_is_the_variables_and_the_plan(
    environment: Mapping[str, str], days: int, entitled: set[str]
) -> None:
    assert entitled_providers(environment, days) == entitled


@pytest.mark.parametrize("text", ["two years", "-5", "1e3", "٣"])
def test_a_plan_that_is_no_number_of_days_is_one_clear_error(text: str) -> None:
    with pytest.raises(InputError, match="POLYGON_MAX_HISTORY_DAYS must be a whole number"):
        entitled_providers({"POLYGON_MAX_HISTORY_DAYS": text}, 10)


@pytest.mark.roadmap("0.2")
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, ReasonCode.PROVIDER_BAD_REQUEST),
        (401, ReasonCode.PROVIDER_UNAUTHORIZED),
        (403, ReasonCode.PROVIDER_FORBIDDEN),
        (404, ReasonCode.PROVIDER_NOT_FOUND),
        (422, ReasonCode.PROVIDER_UNPROCESSABLE),
        (451, ReasonCode.PROVIDER_RESTRICTED_LOCATION),
    ],
)
def test_a_refused_request_is_told_by_its_status_and_never_repeated(
    status: int, reason: ReasonCode
) -> None:
    assert reason_for_status(status) is reason
    for purpose in Purpose:
        assert tries_allowed(status, purpose, ProviderPolicy()) == 1


@pytest.mark.roadmap("0.2")
@pytest.mark.parametrize("status", [429, 500, 503, 599, None])
def test_a_passing_failure_is_tried_three_times_in_a_batch_and_once_live(
    status: int | None,
) -> None:
    assert tries_allowed(status, Purpose.HISTORY_BATCH, ProviderPolicy()) == 3
    assert tries_allowed(status, Purpose.LIVE_QUOTE, ProviderPolicy()) == 1


@pytest.mark.roadmap("0.2")
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, ReasonCode.PROVIDER_RATE_LIMITED),
        (503, ReasonCode.PROVIDER_UNAVAILABLE),
        (302, ReasonCode.PROVIDER_MALFORMED),
    ],
)
def test_what_may_pass_or_is_no_answer_is_told_by_its_status_too(
    status: int, reason: ReasonCode
) -> None:
    assert reason_for_status(status) is reason


@given(st.integers(100, 599))
def test_every_status_but_success_has_a_reason(status: int) -> None:
    if 200 <= status < 300:
        with pytest.raises(ValueError, match="must be a refusal"):
            reason_for_status(status)
    else:
        assert reason_for_status(status) in ReasonCode


@pytest.mark.parametrize("market", [Market.SIMULATED, Market.FILES])
def test_a_market_of_bars_routes_every_class_to_the_paper_broker(market: Market) -> None:
    for kind in AssetClass:
        assert route(market, kind, Purpose.EXECUTION).destination == "paper"
        assert route(market, kind, Purpose.LIVE_QUOTE).destination == market
        assert route(market, kind, Purpose.HISTORY_BATCH).destination == market


@pytest.mark.roadmap("1.4")
@pytest.mark.parametrize("purpose", [Purpose.LIVE_QUOTE, Purpose.EXECUTION])
def test_in_live_fx_and_commodities_have_no_route(purpose: Purpose) -> None:
    for kind in (AssetClass.STOCKS, AssetClass.CRYPTO):
        assert route(Market.LIVE, kind, purpose).destination == "alpaca"
    for kind in (AssetClass.FX, AssetClass.COMMODITIES):
        closed = route(Market.LIVE, kind, purpose)
        assert not closed.is_open
        assert closed.reason_code is ReasonCode.SIM_ONLY
    assert route(Market.LIVE, None, purpose).reason_code is ReasonCode.REFERENCE_NOT_BID


def test_live_history_goes_to_the_first_of_the_separation() -> None:
    assert route(Market.LIVE, AssetClass.FX, Purpose.HISTORY_BATCH).destination == "yahoo"
    assert route(Market.LIVE, None, Purpose.REFERENCE).destination == "yahoo"
    assert not route(Market.LIVE, AssetClass.FX, Purpose.REFERENCE).is_open
