"""The options every command shares, and what they mean."""

import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.errors import InputError, SystemHalt

HomeOption: TypeAlias = Annotated[
    Path | None, typer.Option("--home", help="Where everything lives (INSTGOV_HOME, else data/).")
]
ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", help="Folder of policy.yaml and universe.yaml (INSTGOV_CONFIG)."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
MarketOption: TypeAlias = Annotated[
    str | None, typer.Option("--market", help="simulated, files or live.")
]
BarsOption: TypeAlias = Annotated[
    Path | None, typer.Option("--bars", help="Folder of vendor bars, for the market files.")
]
QuotesOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--quotes", help="Folder of real minute quotes, market files."),
]
AsofOption: TypeAlias = Annotated[
    str | None, typer.Option("--asof", help="The day traded, YYYY-MM-DD; the last session if not.")
]
SeedOption: TypeAlias = Annotated[
    int | None, typer.Option("--seed", help="Which simulated world; a whole number >= 0.")
]


def resolve_home(home: Path | None) -> Path:
    """Give the home folder: what was asked for, INSTGOV_HOME, else ``data``."""
    chosen = home or Path(os.environ.get("INSTGOV_HOME") or "data")
    return chosen.resolve()


def parse_asof(text: str | None) -> date | None:
    """Read a date of the form YYYY-MM-DD.

    Raises
    ------
    InputError
        If the text is no such date.
    """
    return parse_day("--asof", text)


def parse_day(name: str, text: str | None) -> date | None:
    """Read the date of an option, None where it was not given.

    Raises
    ------
    InputError
        If it is no date.
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name} must be a date YYYY-MM-DD, was {text!r}") from error


def resolve_asof(text: str | None, now: datetime) -> date:
    """Give the day traded: what was asked for, else New York's last session up to now.

    Parameters
    ----------
    now
        The current instant, aware.

    Raises
    ------
    InputError
        If the text is no date, or no partition of the graph: before its first day or to come.
    """
    from instgov_dagster.defs.graph import FIRST_DAY, market_day
    from instgov_dagster.loop.platform import latest_session

    today, asked = market_day(now), parse_asof(text)
    if asked is None:
        return latest_session(today)
    if not FIRST_DAY <= asked <= today:
        raise InputError(f"--asof must be in [{FIRST_DAY}, {today}], was {asked}")
    return asked


def parse_market(text: str | None, bars: Path | None) -> Market:
    """Read the market's name; a folder of bars alone means the market files.

    Raises
    ------
    InputError
        If there is no such market.
    """
    word = text or os.environ.get("INSTGOV_MARKET") or ("files" if bars else "simulated")
    try:
        return Market(word)
    except ValueError as error:
        names = ", ".join(market.value for market in Market)
        raise InputError(f"--market must be one of {names}, was {word!r}") from error


def choose_home(named: Path | None, *, market: Market, seed: int, day: date) -> Path:
    """Give the home that was named, else the default one, else a replay's own below it.

    A home belongs to one market and its days only go forward. A call that names no home and asks
    for another market, or an earlier day than the default home has reached, is a replay: it works
    in ``<default>/replays/<market>-<day>``, and stderr is told.
    """
    home = resolve_home(named)
    if named is not None or not _is_taken(home, market=market, seed=seed, day=day):
        return home
    world = f"-seed{seed}" if market is Market.SIMULATED else ""
    replay = home / "replays" / f"{market.value}{world}-{day.isoformat()}"
    sys.stderr.write(f"instgov: {home} holds another market or a later day; using {replay}\n")
    return replay


def _is_taken(home: Path, *, market: Market, seed: int, day: date) -> bool:
    from instgov_dagster.adapters.markets.binding import require_market
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.adapters.store.published import published_meta

    layout = Home(home)
    try:
        require_market(layout, market, seed=seed)
        meta = published_meta(layout.published / "night")
    except InputError:
        return True
    except SystemHalt:
        return False  # damage is not evaded: the default home is opened, and says so
    return meta is not None and date.fromisoformat(meta["asof"]) > day
