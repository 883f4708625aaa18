"""Which market a home belongs to: written once when the home is made, held ever after."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime import Home, replace_durably
from instgov_dagster.vocabulary.bars import BrokerAccount, Market
from instgov_dagster.vocabulary.errors import InputError


def binding_path(home: Home) -> Path:
    """Name the file that says which market a home belongs to."""
    return home.root / "market.json"


def require_market(
    home: Home, market: Market, *, seed: int, account: BrokerAccount | None = None
) -> None:
    """Refuse to open a home for another market, or another simulated world, than its own.

    Bars, book and chains of two markets on one home would be one record of neither. The folder
    of the market files is no part of it: the same bars may be moved.

    Parameters
    ----------
    seed
        Which simulated world; it tells worlds of the simulated market apart and nothing else.
    account
        Whose account the live market trades on; None asks for the market alone.

    Raises
    ------
    InputError
        If the home belongs to another market or its file cannot be read; nothing is written.
    """
    bound = _read(home)
    wanted = _binding(market, seed, account)
    if bound is not None and not _agree(bound, wanted):
        raise InputError(
            f"{home.root} belongs to the market {_name(bound)}, was opened for {_name(wanted)}: "
            "give another home with --home"
        )


def bind_market(
    home: Home, market: Market, *, seed: int, account: BrokerAccount | None = None
) -> None:
    """Write down which market, and whose account, a home belongs to, where nothing says so yet."""
    path = binding_path(home)
    if not path.exists():
        body = json.dumps(_binding(market, seed, account), sort_keys=True) + "\n"
        replace_durably(path, body.encode())


def _binding(market: Market, seed: int, account: BrokerAccount | None) -> dict[str, Any]:
    if market is Market.SIMULATED:
        return {"market": market.value, "seed": seed}
    if market is Market.LIVE and account is not None:
        return {"market": market.value, "account": account.value}
    return {"market": market.value}


def _agree(bound: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    # Who asks for the market alone is not told no for its account.
    return {k: v for k, v in bound.items() if k != "account" or k in wanted} == wanted


def _read(home: Home) -> Mapping[str, Any] | None:
    path = binding_path(home)
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        bound = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} must name a market in JSON, was {text!r}") from error
    if not isinstance(bound, dict) or "market" not in bound:
        raise InputError(f"{path} must name a market in JSON, was {text!r}")
    return bound


def _name(binding: Mapping[str, Any]) -> str:
    more = [f"{name} {binding[name]}" for name in ("seed", "account") if name in binding]
    return f"{binding['market']} ({', '.join(more)})" if more else str(binding["market"])
