"""`why`: one symbol's decision, its gates in order with numbers, and where its inputs come from."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

# A pipe has no width: wide enough for a gate to stay on one line.
_PIPED_WIDTH = 120


def why_command(
    symbol: Annotated[str, typer.Argument(help="A symbol of the universe.")],
    home: HomeOption = None,
    config: ConfigOption = None,
    cycle: Annotated[
        str | None, typer.Option("--cycle", help="Which cycle; the last one if not.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say why a symbol was decided as it was, and what would have passed."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = why(home, config, symbol=symbol, cycle=cycle)
        if as_json:
            print_json(fields, descriptor)
        else:
            _print_why(fields)


def why(
    home: HomeOption, config: ConfigOption, *, symbol: str, cycle: str | None
) -> dict[str, Any]:
    """Explain one decision from the journal and the pinned night; writes nothing.

    Raises
    ------
    InputError
        If there is no journal at the home, no such cycle, or the symbol was not decided.
    """
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, code_sha256
    from instgov_dagster.loop.folding.explaining.explain import explain_symbol

    place = Home(resolve_home(home))
    if not place.journal_dir.is_dir():
        raise InputError(f"--home must hold a journal, was {place.root}")
    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    return explain_symbol(
        place,
        load_policy(config_dir),
        key=key_from(os.environ),
        code_hash=code_sha256(),
        symbol=symbol,
        cycle_id=cycle,
    ).to_dict()


def _print_why(fields: dict[str, Any]) -> None:
    from rich.console import Console

    from instgov_dagster.vocabulary.reasons import ReasonCode

    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    at = fields["inputs"]["timestamp"]
    console.print(f"[bold]{fields['symbol']} {fields['decision']}[/] in {fields['cycle_id']}, {at}")
    for code in fields["reason_codes"]:
        console.print(f"  {code}: {ReasonCode(code).sentence}", highlight=False)
    if not fields["is_exact"]:
        console.print("  [red]folded again it comes out otherwise: run `instgov audit replay`[/]")
    console.print(_gate_table(fields["gates"]))
    inputs = fields["inputs"]
    lambda_star = _digits(inputs["lambda_star"])
    console.print(
        f"mu {_digits(inputs['mu'])}, sigma {_digits(inputs['sigma'])}, "
        f"CVaR {_digits(inputs['cvar'])}; held {_digits(inputs['held_weight'])}, "
        f"target {_digits(inputs['target_weight'])}; hurdle {inputs['hurdle']:g} of {lambda_star}",
        highlight=False,
    )
    for line in _lineage_lines(fields["lineage"]):
        console.print(line, highlight=False, soft_wrap=True)


def _gate_table(gates: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("gate", "verdict", "value", "limit", "headroom", "reason", "would pass")
    for column in table.columns:
        column.overflow = "fold"  # a code cut short is no code
    table.columns[0].no_wrap = True
    for row in gates:
        word = "passed" if row["passed"] else "[red]failed[/]"
        numbers = (row[name] for name in ("value", "limit", "headroom"))
        cells = ("" if value is None else f"{value:.4g}" for value in numbers)
        table.add_row(row["name"], word, *cells, row["reason_code"], _would_pass(row))
    return table


def _would_pass(row: dict[str, Any]) -> str:
    if row["passing_size"] is not None:
        return f"weight {row['passing_size']:.6f}"
    return "" if row["passing_mu"] is None else f"mu {row['passing_mu']:.6f}"


def _lineage_lines(lineage: dict[str, Any]) -> list[str]:
    lines = [
        f"order     {row['client_order_id']} {row['side']} {row['quantity']}: {row['status']}"
        for row in lineage["orders"]
    ]
    decided, forecast = lineage["decision"], lineage["forecast"]
    lines.append(f"decision  {decided['frame']} {decided['frame_sha256'][:16]}")
    lines += [
        f"bid       {row['strategy_id']} rank {row['rank']}, weight {row['weight']:.6f}, "
        f"priced out by {row['priced_out_bps']:.2f} bps"
        for row in lineage["bids"]
    ]
    if forecast is not None:
        lines.append(
            f"forecast  {forecast['model_id']} mu {_digits(forecast['mu_adjusted'])} in "
            f"{forecast['snapshot_id']}/{forecast['table']} {forecast['table_sha256'][:16]}"
        )
    lines += [
        f"bar       {row['date']} close {_digits(row['close'])} known {row['known_at']} "
        f"from {row['source_sha256'][:16]}"
        for row in lineage["bars"]
    ]
    lines += [
        f"payload   {row['path']} {row['sha256'][:16]} "
        f"{'verified' if row['is_verified'] else 'MISSING OR CHANGED'}"
        for row in lineage["payloads"]
    ]
    return lines


def _digits(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
