"""Which market a home belongs to: written once when the home is made, held ever after."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.runtime import Home, replace_durably
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError


def binding_path(home: Home) -> Path:
    """Name the file that says which market a home belongs to."""
    return home.root / "market.json"


def require_market(home: Home, market: Market, *, seed: int) -> None:
    """Refuse to open a home for another market, or another simulated world, than its own.

    Bars, book and chains of two markets on one home would be one record of neither. The folder
    of the market files is no part of it: the same bars may be moved.

    Parameters
    ----------
    seed
        Which simulated world; it tells worlds of the simulated market apart and nothing else.

    Raises
    ------
    InputError
        If the home belongs to another market or its file cannot be read; nothing is written.
    """
    bound = _read(home)
    wanted = _binding(market, seed)
    if bound is not None and bound != wanted:
        raise InputError(
            f"{home.root} belongs to the market {_name(bound)}, was opened for {_name(wanted)}: "
            "give another home with --home"
        )


def bind_market(home: Home, market: Market, *, seed: int) -> None:
    """Write down which market a home belongs to, where nothing says so yet."""
    path = binding_path(home)
    if not path.exists():
        replace_durably(path, (json.dumps(_binding(market, seed), sort_keys=True) + "\n").encode())


def _binding(market: Market, seed: int) -> dict[str, Any]:
    return {"market": market.value} | ({"seed": seed} if market is Market.SIMULATED else {})


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
    seed = binding.get("seed")
    return str(binding["market"]) if seed is None else f"{binding['market']} (seed {seed})"
