"""`lake push`, `pull`, `verify`, `bars`: history beyond one host, there and back, and read."""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import (
    ConfigOption,
    HomeOption,
    JsonOption,
    resolve_home,
)
from instgov_dagster.cli.output import CHECK_FAILED, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from instgov_dagster.adapters.lake import Lake

app = typer.Typer(
    help="The lake that INSTGOV_LAKE names: push a home's history, pull it back, compare, read.",
    no_args_is_help=True,
)

AtOption = Annotated[
    str | None,
    typer.Option("--at", help="The lake as it stood: a snapshot's number or an ISO instant."),
]


@app.command(name="push")
def push_command(
    home: HomeOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Append to the lake what it lacks of a home's warehouse and projection."""
    del config  # every command takes it; history needs no rules
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.lake import push
        from instgov_dagster.adapters.runtime import Home, RealClock

        done = push(_lake(), Home(resolve_home(home)), pushed_at=RealClock().now())
        if as_json:
            print_json({"added": dict(done.added), "snapshot": done.snapshot}, descriptor)
            return
        rows = sum(done.added.values())
        typer.echo(f"{rows} rows into {len(done.added)} tables: snapshot {done.snapshot}")


@app.command(name="pull")
def pull_command(
    home: HomeOption = None,
    config: ConfigOption = None,
    at: AtOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the warehouse of a home that has none out of the lake; every row is compared."""
    del config
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.lake import pull
        from instgov_dagster.adapters.runtime import Home, RealClock

        place = Home(resolve_home(home))
        done = pull(_lake(), place, pulled_at=RealClock().now(), at=parse_at(at))
        if as_json:
            print_json({"tables": {k: {"rows": n} for k, n in done.tables.items()}}, descriptor)
            return
        rows = sum(done.tables.values())
        typer.echo(f"{rows} rows in {len(done.tables)} tables of {place.warehouse}")


@app.command(name="verify")
def verify_command(
    home: HomeOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Compare a home with the lake by a hash of each row; exit 1 where the lake lacks one."""
    del config
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.lake import differences
        from instgov_dagster.adapters.runtime import Home

        found = differences(_lake(), Home(resolve_home(home)))
        ok = not any(one.missing for one in found)
        tables = {
            one.table: {"rows": one.rows, "missing": one.missing, "extra": one.extra}
            for one in found
        }
        if as_json:
            print_json({"ok": ok, "tables": tables}, descriptor)
        else:
            _tell_differences(tables, is_whole=ok)
    if not ok:
        raise typer.Exit(CHECK_FAILED)


@app.command(name="bars")
def bars_command(
    symbols: Annotated[list[str], typer.Argument(help="Which symbols.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    known_at: Annotated[str, typer.Option("--known-at", help="ISO instant: known by then.")],
    home: HomeOption = None,
    config: ConfigOption = None,
    at: AtOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write all bars as they were known at an instant, of the lake as it stands or stood."""
    del home, config  # every command takes them; the lake is named by the environment
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.store.bar_reads import bars_as_of

        instant = _instant("--known-at", known_at)
        with _lake().reader(at=parse_at(at)) as con:
            frame = bars_as_of(con, symbols, start=date.min, end=date.max, known_at=instant)
        frame.write_parquet(out)
        if as_json:
            fields: dict[str, Any] = {"rows": frame.height, "path": str(out)}
            print_json({**fields, "symbols": frame["symbol"].n_unique()}, descriptor)
            return
        typer.echo(f"{frame.height} bars in {out}")


def parse_at(text: str | None) -> datetime | int | None:
    """Read a snapshot's number or an aware instant.

    Raises
    ------
    InputError
        If the text is neither.
    """
    if text is None:
        return None
    return int(text) if text.isdecimal() else _instant("--at", text)


def _instant(option: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{option} must be an ISO instant, was {text!r}") from error
    if instant.tzinfo is None:
        raise InputError(f"{option} must say its zone, such as Z at its end, was {text!r}")
    return instant.astimezone(UTC)


def _lake() -> "Lake":
    from instgov_dagster.adapters.lake import Lake, lake_from

    address = lake_from(os.environ)
    if address is None:
        raise InputError("INSTGOV_LAKE must name the lake, was unset: see docs/lake.md")
    return Lake(address)


def _tell_differences(tables: dict[str, dict[str, int]], *, is_whole: bool) -> None:
    for name, row in tables.items():
        if row["missing"] or row["extra"]:
            typer.echo(f"{name}: the lake lacks {row['missing']} rows, has {row['extra']} more")
    rows = sum(row["rows"] for row in tables.values())
    told = "the lake has each of them" if is_whole else "the lake lacks some"
    typer.echo(f"{rows} rows in {len(tables)} tables: {told}")
