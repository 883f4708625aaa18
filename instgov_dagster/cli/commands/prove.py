"""`prove` and `drill`: that nothing gets past governance, and that every control fires."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import CHECK_FAILED, DONE, exit_codes, print_json, quiet_stdout
from instgov_dagster.cli.progress import progress

if TYPE_CHECKING:
    from instgov_dagster.loop.proving.drills.evidence import Evidence

NameOption = Annotated[str | None, typer.Option("--name", help="Only the drill of this name.")]


def prove_command(*, as_json: JsonOption = False) -> None:
    """Prove that nothing is sent past governance; exit 1 where an invariant fails in any state."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = prove(is_shown=not as_json)
        if as_json:
            print_json(fields, descriptor)
        else:
            _print_proof(fields)
        code = DONE if fields["ok"] else CHECK_FAILED
    raise typer.Exit(code)


def prove(*, is_shown: bool = False) -> dict[str, Any]:
    """Enumerate the proof's spaces through the code; the journal it writes is gone afterwards."""
    from instgov_dagster.loop.proving.enumeration import PROGRESS_FILE
    from instgov_dagster.loop.proving.proof import prove as prove_everything

    with tempfile.TemporaryDirectory(prefix="instgov-prove-") as folder:
        place = Path(folder)
        with progress(place / PROGRESS_FILE, "states", is_shown=is_shown):
            return prove_everything(place).to_dict()


def _print_proof(fields: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("invariant", "states", "violations", "what holds")
    for row in fields["invariants"]:
        table.add_row(row["name"], f"{row['states']:,}", str(row["violations"]), row["statement"])
    users = Table("guarded", "used by", "holds")
    for row in fields["sources"]:
        word = "yes" if row["ok"] else "NO"
        users.add_row(row["target"], ", ".join(row["users"]) or "nobody", word)
    console = Console()
    console.print(table)
    console.print(users)
    word = "proved" if fields["ok"] else "NOT PROVED"
    typer.echo(f"{word}: {fields['states_visited']:,} states visited")


def drill_command(
    name: NameOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Inject a fault per control in a scratch home and see it fire; exit 1 if one stays silent."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        rows = drill(name, config, is_shown=not as_json)
        is_recorded = record(home, rows)
        fields = drill_fields(rows, is_recorded=is_recorded)
        if as_json:
            print_json(fields, descriptor)
        else:
            _print_drills(fields)
        code = DONE if fields["ok"] else CHECK_FAILED
    raise typer.Exit(code)


def drill(
    name: str | None, config: Path | None, *, is_shown: bool = False
) -> tuple["Evidence", ...]:
    """Hold one drill or all under the rules in force, in a scratch home that is gone afterwards.

    Raises
    ------
    InputError
        If the name is no drill's.
    """
    from instgov_dagster.adapters.config import find_config_dir
    from instgov_dagster.loop.proving.drills.run import PROGRESS_FILE, drills_apart

    rules = find_config_dir(config, environment=os.environ, working_dir=Path.cwd()).resolve()
    with tempfile.TemporaryDirectory(prefix="instgov-drill-") as folder:
        scratch = Path(folder)
        with progress(scratch / PROGRESS_FILE, "drills", is_shown=is_shown):
            return drills_apart([] if name is None else [name], rules, scratch)


def record(home: Path | None, rows: tuple["Evidence", ...]) -> bool:
    """Append the evidence to the home's warehouse; False where it has none yet."""
    from instgov_dagster.adapters.runtime import Home, RealClock
    from instgov_dagster.defs.graph import market_day
    from instgov_dagster.loop.proving.drills.evidence import record_evidence

    now = RealClock().now()
    place = Home(resolve_home(home))
    return record_evidence(place, rows, asof=market_day(now), run_id="drill", recorded_at=now)


def drill_fields(rows: tuple["Evidence", ...], *, is_recorded: bool) -> dict[str, Any]:
    """Gather what the drills showed, as the contract's fields and what explains them."""
    return {
        "ok": bool(rows) and all(row.fired for row in rows),
        "drills": [
            {
                "name": row.drill,
                "control": row.control,
                "fired": row.fired,
                "reason_code": row.reason_code,
                "injected": row.injected,
                "state": row.state,
                "statistic": row.statistic,
                "detail": row.detail,
            }
            for row in rows
        ],
        "recorded": is_recorded,
    }


def _print_drills(fields: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("drill", "fired", "reason code", "state", "control")
    for row in fields["drills"]:
        word = "yes" if row["fired"] else "SILENT"
        told = row["control"] if row["fired"] else row["detail"]
        table.add_row(row["name"], word, row["reason_code"] or "none", row["state"], told)
    Console().print(table)
    fired = sum(row["fired"] for row in fields["drills"])
    kept = "kept in the home's table fire_drills" if fields["recorded"] else "no warehouse to keep"
    typer.echo(f"{fired} of {len(fields['drills'])} controls fired; evidence: {kept}")
