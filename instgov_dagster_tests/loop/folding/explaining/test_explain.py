"""Why: a decision called back with its gates, what would have passed, and where it comes from."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from instgov_dagster.adapters.journal import read_frames, unbundle
from instgov_dagster.loop.folding.explaining.explain import Explanation, explain_symbol
from instgov_dagster.loop.platform import Platform, open_platform
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import ASOF, copy_home, run_night, settings_of

CYCLES = 5


def lead(platform: Platform, cycles: int = CYCLES) -> None:
    run_session(platform, ASOF, cycles=cycles, period_seconds=0.0, run_id="run")


@pytest.fixture(scope="module")
def led(night_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """An installation after two sessions of one day; shared, so it is only read."""
    platform = copy_home(night_platform, tmp_path_factory.mktemp("explained"))
    lead(platform)
    lead(platform, 2)
    return platform


def why(platform: Platform, symbol: str, cycle_id: str | None = None) -> Explanation:
    return explain_symbol(
        platform.home, platform.policy, key=None, code_hash=platform.code_hash,
        symbol=symbol, cycle_id=cycle_id,
    )  # fmt: skip


def decided(platform: Platform) -> list[tuple[str, dict[str, object]]]:
    """Every decision of the journal with the cycle it is of."""
    return [
        (str(frame.meta["cycle_id"]), row)
        for frame in read_frames(platform.home.journal_dir, Chain.LOOP.value)
        if frame.kind == "cycle"
        for row in unbundle(frame.table())["governance_decisions"].to_pylist()
    ]


@pytest.mark.roadmap("9.1", "9.3")
def test_every_decision_of_every_cycle_is_explained_by_the_gates_that_decided_it(
    led: Platform,
) -> None:
    rows = decided(led)
    assert len({cycle for cycle, _ in rows}) == CYCLES + 2
    for cycle_id, row in rows[:: max(len(rows) // 25, 1)]:
        told = why(led, str(row["symbol"]), cycle_id)
        assert told.is_exact
        assert (told.cycle_id, told.decision) == (cycle_id, row["decision"])
        assert list(told.reason_codes) == row["reason_codes"]
        recorded = json.loads(str(row["headroom"]))
        judged = {name.removeprefix("book_") for name in (g.name for g in told.gates)}
        assert set(recorded) - {"passing_size"} <= judged
        for gate in told.gates:
            name = gate.name.removeprefix("book_")
            if name in recorded and gate.headroom is not None:
                assert gate.headroom >= recorded[name]  # the tighter of two of a name is kept
            assert ReasonCode(gate.reason_code)
        json.dumps(told.to_dict(), allow_nan=False)


def test_the_last_cycle_is_explained_where_none_is_named(led: Platform) -> None:
    last = decided(led)[-1][0]
    assert why(led, "AAPL").cycle_id == last


@pytest.mark.roadmap("4.2")
def test_a_bid_that_lost_says_what_it_would_have_had_to_promise(led: Platform) -> None:
    found = [why(led, str(row["symbol"])) for _, row in decided(led)[-9:]]
    priced = [
        (told, gate) for told in found for gate in told.gates
        if gate.name == "auction" and gate.passing_mu is not None
    ]  # fmt: skip
    assert priced
    for told, gate in priced:
        assert gate.value is not None
        assert gate.limit is not None
        assert gate.passing_mu is not None
        assert not gate.passed
        # mu_hat is mu times factors: what passes is mu scaled to the price of the next unit.
        assert gate.passing_mu == pytest.approx(told.inputs["mu"] * gate.limit / gate.value)
        lead = next(b for b in told.lineage["bids"]
                    if b["strategy_id"] == told.inputs["strategy_id"])  # fmt: skip
        assert 1e4 * (gate.limit - gate.value) == pytest.approx(lead["priced_out_bps"])


@pytest.mark.roadmap("9.3")
def test_an_order_that_a_gate_refused_says_the_size_that_would_have_passed(
    night_platform: Platform, tmp_path: Path
) -> None:
    platform = copy_home(night_platform, tmp_path)
    rules = tmp_path / "config" / "policy.yaml"
    text = rules.read_text()
    tight = text.replace("\n  sector: 0.25", "\n  sector: 0.005")
    assert tight != text
    rules.write_text(tight)
    platform = open_platform(settings_of(platform.home.root), {})
    run_night(platform, run_id="tight")
    lead(platform, 1)
    refused = [row for _, row in decided(platform) if "SECTOR_LIMIT" in row["reason_codes"]]
    assert refused
    for row in refused:
        told = why(platform, str(row["symbol"]))
        assert told.is_exact
        gate = next(g for g in told.gates if g.name == "sector")
        assert (gate.passed, gate.reason_code) == (False, "SECTOR_LIMIT")
        assert gate.value is not None
        assert gate.limit is not None
        assert gate.passing_size is not None
        target, held = told.inputs["target_weight"], told.inputs["held_weight"]
        assert held <= gate.passing_size < target
        # At the size that passes the sector is at its limit, to the last step of the bisection.
        others = gate.value - target
        step = (target - held) * 0.5**platform.policy.limits.passing_share_steps
        assert gate.limit - 2.0 * step <= others + gate.passing_size
        assert others + gate.passing_size <= gate.limit + platform.policy.limits.limit_tolerance


@pytest.mark.roadmap("9.1", "2.6")
def test_a_decision_is_traced_back_to_the_bytes_a_provider_sent(led: Platform) -> None:
    cycle_id, row = next(pair for pair in decided(led) if pair[1]["decision"] == "EXECUTE")
    told = why(led, str(row["symbol"]), cycle_id)
    lineage = told.lineage
    frames = {f.name: f for f in read_frames(led.home.journal_dir, Chain.LOOP.value)}
    frame = frames[lineage["decision"]["frame"]]
    assert frame.head.hex() == lineage["decision"]["frame_sha256"]
    assert [order["status"] for order in lineage["orders"]] != ["PLANNED"]
    (order,) = lineage["orders"]
    assert order["client_order_id"].startswith(f"{cycle_id}|{told.symbol}|BUY")
    lead = lineage["bids"][0]
    assert lead["weight"] > 0.0
    assert lineage["forecast"]["symbol"] == told.symbol
    assert lineage["forecast"]["snapshot_id"] == frame.meta["snapshot_id"]
    pinned = led.home.pinned / frame.meta["snapshot_id"] / "model_decay_metrics.parquet"
    assert hashlib.sha256(pinned.read_bytes()).hexdigest() == lineage["forecast"]["table_sha256"]
    bars = lineage["bars"]
    assert 1 <= len(bars) <= 5
    assert [bar["date"] for bar in bars] == sorted({bar["date"] for bar in bars})
    assert all(bar["known_at"] <= f"{ASOF}T06:00:00+00:00" for bar in bars)
    (payload,) = lineage["payloads"]
    body = gzip.decompress((led.home.root / payload["path"]).read_bytes())
    assert hashlib.sha256(body).hexdigest() == payload["sha256"] == bars[-1]["source_sha256"]
    assert payload["is_verified"]


def test_a_payload_that_was_changed_is_said_to_be(led: Platform, tmp_path: Path) -> None:
    platform = copy_home(led, tmp_path)
    (payload,) = why(platform, "KO").lineage["payloads"]
    (platform.home.root / payload["path"]).write_bytes(gzip.compress(b"[]"))
    (payload,) = why(platform, "KO").lineage["payloads"]
    assert not payload["is_verified"]


def test_no_store_is_opened_and_nobody_is_kept_waiting(
    led: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a store was opened")

    monkeypatch.setattr(duckdb, "connect", refuse)
    assert why(led, "SPY").is_exact


@pytest.mark.parametrize(
    ("symbol", "near"), [("APPL", "AAPL"), ("aapl", "AAPL"), ("BTCUSD", "BTC-USD")]
)
def test_an_unknown_symbol_is_answered_with_the_nearest(
    led: Platform, symbol: str, near: str
) -> None:
    with pytest.raises(InputError, match=rf"SYMBOL must be .* the nearest is {near}$"):
        why(led, symbol)


def test_a_cycle_that_never_was_or_a_home_without_cycles_is_bad_input(
    led: Platform, night_platform: Platform
) -> None:
    with pytest.raises(InputError, match="--cycle must be in the loop's chain, was nothing"):
        why(led, "AAPL", "nothing")
    with pytest.raises(InputError, match="--home must hold a session's cycles"):
        why(night_platform, "AAPL")
