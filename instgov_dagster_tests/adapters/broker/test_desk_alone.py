"""Who may trade with Alpaca's client is one module; the live market reads its data and no more."""

import ast
from pathlib import Path

import instgov_dagster

ROOT = Path(instgov_dagster.__file__).parent


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_only_the_desk_imports_what_can_trade() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name == "alpaca" or name.startswith("alpaca.trading") for name in _imports(path))
    }
    assert importers == {"adapters/broker/alpaca_desk.py"}


def test_the_desk_never_repeats_a_request_and_never_waits_for_ever() -> None:
    from instgov_dagster.adapters.broker.alpaca_desk import AlpacaDesk
    from instgov_dagster.adapters.markets.live.alpaca.account import PAPER_URL

    word = "a-key"
    desk = AlpacaDesk(word, word, base_url=PAPER_URL, timeout_seconds=2.0)
    client = desk._client
    assert client._retry == 0
    assert client._session.get_adapter("https://paper-api.alpaca.markets/")._timeout == 2.0  # type: ignore[attr-defined]  # ours
