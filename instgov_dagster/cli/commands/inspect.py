"""`status` and `quality`: may it trade now and how near each limit; what vendor bars are worth."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import (
    AsofOption,
    ConfigOption,
    HomeOption,
    JsonOption,
    parse_asof,
    resolve_home,
)
from instgov_dagster.cli.output import DONE, HALTED, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError, SystemHalt

if TYPE_CHECKING:
    import polars as pl

    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.vocabulary.governance import SystemState


def status_command(
    home: HomeOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Say whether it may trade now, why not, since when, and how near each limit is."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = status(home, config)
        if as_json:
            print_json(fields, descriptor)
        else:
            _print_status(fields)
        code = HALTED if fields["state"] in ("HALT_SYSTEM", "STOP_SYSTEM") else DONE
    raise typer.Exit(code)


def status(home: HomeOption, config: ConfigOption) -> dict[str, Any]:
    """Read the state from the chains and the limits from the last session; writes nothing.

    Raises
    ------
    InputError
        If there is no installation at the home.
    """
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, RealClock
    from instgov_dagster.adapters.store.published import SUMMARY_FILE
    from instgov_dagster.governance.state.rows import cause_to_dict
    from instgov_dagster.loop.state_log import StateLog, head_of, state_since

    place = Home(resolve_home(home))
    if not (place.journal_dir.exists() or place.warehouse.exists()):
        raise InputError(f"--home must hold a journal or a warehouse, was {place.root}")
    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    policy = load_policy(config_dir)
    log = StateLog(place, key_from(os.environ))
    state = log.refresh()
    age = None
    if place.heartbeat.is_file():
        age = RealClock().now().timestamp() - place.heartbeat.stat().st_mtime
    told: dict[str, Any] = {}
    path = place.published / SUMMARY_FILE
    if path.is_file():
        told = json.loads(path.read_text(encoding="utf-8"))
    return {
        "state": state.name.value,
        "causes": [cause_to_dict(cause) for cause in state.causes],
        "since": _since(state, state_since(log, state)),
        "limits": _limits(told, policy.cvar.portfolio_limit, policy.limits.leverage),
        "heartbeat_age_seconds": age,
        "last_night": _last_night(place),
        "chain_head": head_of(log),
    }


def _last_night(place: "Home") -> str | None:
    from instgov_dagster.adapters.store.published import published_meta

    try:
        meta = published_meta(place.published / "night")
    except SystemHalt as damage:
        # The state is told all the same: whoever asks needs it most when something is damaged.
        sys.stderr.write(f"instgov: {damage}\n")
        return None
    return meta["asof"] if meta else None


def _since(state: "SystemState", instant: Any) -> str | None:
    return instant.isoformat() if state.causes and instant else None


def _limits(told: dict[str, Any], cvar_limit: float, leverage: float) -> list[dict[str, Any]]:
    pairs = (
        ("cvar_gate", told.get("cvar_gate"), cvar_limit),
        ("cvar", told.get("cvar"), cvar_limit),
        ("gross", told.get("gross"), leverage),
    )
    return [
        {
            "name": name,
            "value": value,
            "limit": limit,
            "headroom": None if value is None else limit - value,
        }
        for name, value, limit in pairs
    ]


def _print_status(fields: dict[str, Any]) -> None:
    typer.echo(f"{fields['state']} since {fields['since'] or 'the beginning'}")
    for cause in fields["causes"]:
        typer.echo(f"  {cause['state']} {cause['reason_code']}: {cause['detail']}")
    from rich.console import Console
    from rich.table import Table

    table = Table("limit", "value", "at most", "headroom")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in fields["limits"]:
        numbers = (row[name] for name in ("value", "limit", "headroom"))
        cells = ("unknown" if value is None else f"{value:.6f}" for value in numbers)
        table.add_row(row["name"], *cells)
    Console().print(table)
    age = fields["heartbeat_age_seconds"]
    typer.echo(f"heartbeat   {'none' if age is None else f'{age:.1f} s old'}")
    typer.echo(f"last night  {fields['last_night'] or 'none'}")
    typer.echo(f"chain head  {fields['chain_head']}")


def quality_command(
    bars: Annotated[Path, typer.Option("--bars", help="Folder of vendor bars.")],
    asof: AsofOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Score vendor bars; no store needed. Exit 0 when all could be judged."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        rows = judge(bars, asof, config)
        if as_json:
            print_json({"symbols": rows}, descriptor)
        else:
            _print_quality(rows)


def judge(bars: Path, asof: str | None, config: Path | None) -> list[dict[str, Any]]:
    """Judge a folder of bars as a night of ``asof`` would; the day after the last bar if None."""
    from instgov_dagster.adapters.config import find_config_dir, load_policy, load_universe
    from instgov_dagster.adapters.markets.files import FilesMarket
    from instgov_dagster.bars.calendars import history_window

    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    policy, configured = load_policy(config_dir), load_universe(config_dir)
    source = FilesMarket(bars.resolve())
    universe = source.universe(configured)
    day = parse_asof(asof) or source.last_date() + timedelta(days=1)
    start, end = history_window(day, policy.history)
    names = tuple(entry.symbol for entry in universe.symbols)
    fetched = source.fetch(names, start, end, day)
    return _verdicts(fetched.frame, universe, day, policy, fetched.first_dates)


def _verdicts(
    frame: "pl.DataFrame", universe: Any, day: Any, policy: Any, first_dates: Any
) -> list[dict[str, Any]]:
    from instgov_dagster.bars.adjusted import adjust_bars
    from instgov_dagster.bars.history import cover_history
    from instgov_dagster.bars.quality.score import score_bars
    from instgov_dagster.vocabulary.bars import SymbolStatus

    common = {"universe": universe, "asof": day, "history": policy.history}
    quality = score_bars(frame, policy=policy.quality, **common)
    prices = adjust_bars(frame, policy=policy.quality, **common)
    coverage = cover_history(prices, quality, first_dates=first_dates, **common)
    covered = dict(coverage.select("symbol", "status").iter_rows())
    rows = []
    for row in quality.iter_rows(named=True):
        status = max(
            SymbolStatus(row["status"]),
            SymbolStatus(covered[row["symbol"]]),
            key=lambda word: word.rank,
        )
        rows.append(
            {
                "symbol": row["symbol"],
                "asset_class": row["asset_class"],
                "score": row["quality_score"],
                "status": status.value,
                "rows": row["rows"],
                "flags": json.loads(row["flags"]),
                "reason_codes": row["reason_codes"],
            }
        )
    return rows


def _print_quality(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("symbol", "class", "score", "status", "rows", "flags")
    for row in rows:
        flags = ", ".join(f"{name} {flag['count']}" for name, flag in row["flags"].items())
        table.add_row(
            row["symbol"], row["asset_class"], f"{row['score']:.3f}", row["status"],
            str(row["rows"]), flags,
        )  # fmt: skip
    Console().print(table)
