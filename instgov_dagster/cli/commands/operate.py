"""`halt` and `resume`: the operator's acts, audited in his own chain; `rebuild`: his repair."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import CHECK_FAILED, DONE, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

OperatorOption = Annotated[str, typer.Option("--operator", help="Who acts.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]


def halt_command(
    operator: OperatorOption,
    reason: ReasonOption,
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Halt the system: no order may increase risk until it is resumed."""
    del config  # every command takes it; an operator's act needs no rules
    _act(operator, reason, home=home, is_halt=True, is_json=as_json)


def resume_command(
    operator: OperatorOption,
    reason: ReasonOption,
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Resume the system; refused while a cause still stands."""
    del config  # every command takes it; an operator's act needs no rules
    _act(operator, reason, home=home, is_halt=False, is_json=as_json)


def _act(
    operator: str,
    reason: str,
    *,
    home: HomeOption,
    is_halt: bool,
    is_json: bool,
) -> None:
    with exit_codes(), quiet_stdout(is_json=is_json) as descriptor:
        from instgov_dagster.adapters.journal import key_from
        from instgov_dagster.adapters.runtime import Home
        from instgov_dagster.loop.live.operator import act

        place = Home(resolve_home(home))
        state, sequence = act(
            place, key_from(os.environ), operator=operator, reason=reason, is_halt=is_halt
        )
        if is_json:
            print_json({"state": state.name.value, "sequence": sequence}, descriptor)
        else:
            typer.echo(f"{state.name.value} (operator chain of {place.root}, frame {sequence})")


def rebuild_command(
    home: HomeOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Make the projection again from the journal; exit 1 where the old one said otherwise."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = rebuild(home, config)
        if as_json:
            print_json(fields, descriptor)
        else:
            typer.echo(f"{fields['frames']} frames of the journal, projected again:")
            for name, table in fields["tables"].items():
                word = {True: "as it was", False: "DIFFERED", None: "was not there"}[table["same"]]
                typer.echo(f"  {name}: {table['rows']} rows, {word}")
        code = DONE if fields["ok"] else CHECK_FAILED
    raise typer.Exit(code)


def rebuild(home: HomeOption, config: ConfigOption) -> dict[str, Any]:
    """Rebuild the projection of a home and tell what each table holds.

    Raises
    ------
    InputError
        If there is no journal at the home.
    """
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, RealClock
    from instgov_dagster.adapters.store.projector import rebuild_projection

    place = Home(resolve_home(home))
    if not place.journal_dir.is_dir():
        raise InputError(f"--home must hold a journal, was {place.root}")
    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    loop = load_policy(config_dir).loop
    result = rebuild_projection(
        place,
        recorded_at=RealClock().now(),
        key=key_from(os.environ),
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )
    old = result.differing
    tables = {
        name: {
            "rows": table.rows,
            "sha256": table.sha256,
            "same": None if old is None else name not in old,
        }
        for name, table in result.tables.items()
    }
    return {"ok": result.ok, "frames": result.frames, "tables": tables}
