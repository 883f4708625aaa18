"""`halt` and `resume`: the operator's acts, latched and audited in the operator's own chain."""

import os
from typing import Annotated

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout

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
