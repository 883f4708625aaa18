"""Who may know the broker and the router, by the sources, and that a stranger is found."""

import shutil
import tomllib
from pathlib import Path

import pytest

import instgov_dagster
from instgov_dagster.loop.proving.imports import CALLS, GUARDED, walk_sources
from instgov_dagster_tests.repository.roadmap import ROOT

PACKAGE = Path(instgov_dagster.__file__).parent


@pytest.mark.roadmap("9.4")
def test_only_the_router_knows_the_broker_and_only_the_session_and_the_proof_the_router() -> None:
    users = {row.target: set(row.users) for row in walk_sources()}
    for target, allowed in GUARDED.items():
        assert users[target] == set(allowed), target
    for target, allowed in CALLS.items():
        if target != "AlpacaBroker.open":  # it may be opened by the router; nobody opens it yet
            assert users[target] == set(allowed), target
    assert users["AlpacaBroker.open"] <= CALLS["AlpacaBroker.open"]


def test_the_modules_of_the_broker_may_know_each_other_and_nobody_beside_them(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "instgov_dagster"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    line = "from instgov_dagster.adapters.broker.alpaca import AlpacaBroker\n"
    (copy / "adapters" / "broker" / "sibling.py").write_text(line, encoding="utf-8")
    (copy / "adapters" / "broker_beside.py").write_text(line, encoding="utf-8")
    (row,) = [row for row in walk_sources(copy) if row.target.endswith("adapters.broker")]
    assert set(row.users) - set(row.allowed) == {"instgov_dagster.adapters.broker_beside"}


def test_what_is_guarded_is_what_the_build_s_contracts_guard() -> None:
    body = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {row["id"]: row for row in body["tool"]["importlinter"]["contracts"]}
    for name in ("router", "router-holder"):
        (target,) = contracts[name]["protected_modules"]
        assert GUARDED[target] == set(contracts[name]["allowed_importers"])


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("from instgov_dagster.adapters.broker import PaperBroker", "adapters.broker"),
        ("import instgov_dagster.loop.live.router as r", "loop.live.router"),
        ("from instgov_dagster.loop.live import router", "loop.live.router"),
        ("from ..live import router", "loop.live.router"),
        ("import importlib\nimportlib.import_module('alpaca.trading')", "alpaca"),
        ("def f():\n    from alpaca.trading import client", "alpaca"),
        ("from alpaca.trading.client import TradingClient", "alpaca.trading"),
        ("from alpaca.broker.client import BrokerClient", "alpaca.broker"),
        ("from instgov_dagster.adapters.broker.alpaca import AlpacaBroker", "adapters.broker"),
        ("x = AlpacaBroker.open(1, 2)", "AlpacaBroker.open"),
        ("order = ApprovedOrder()", "ApprovedOrder"),
        ("x = Router.opened(1, 2)", "Router.opened"),
    ],
)
def test_a_stranger_is_found_however_it_comes(tmp_path: Path, line: str, target: str) -> None:
    copy = tmp_path / "instgov_dagster"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "loop" / "steps" / "stranger.py").write_text(line + "\n", encoding="utf-8")
    (row,) = [row for row in walk_sources(copy) if row.target.endswith(target)]
    assert not row.holds
    assert "instgov_dagster.loop.steps.stranger" in row.users
