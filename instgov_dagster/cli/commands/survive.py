"""`instgov survive`: the same decisions walked through history, and what came of them."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import (
    BarsOption,
    ConfigOption,
    JsonOption,
    MarketOption,
    SeedOption,
    parse_day,
    parse_market,
)
from instgov_dagster.cli.output import CHECK_FAILED, DONE, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from instgov_dagster.loop.proving.survival.telling.answer import Answer, Question

_YearsOption = Annotated[
    int | None, typer.Option("--years", help="Years of the simulated market, up to --end.")
]
_StartOption = Annotated[str | None, typer.Option("--start", help="First session, YYYY-MM-DD.")]
_EndOption = Annotated[str | None, typer.Option("--end", help="Last session, YYYY-MM-DD.")]
_OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write tables, checkpoint and report.html into this folder."),
]
_GatesOption = Annotated[
    str | None,
    typer.Option(
        "--gates",
        help="Gates to walk without as well, a walk each: names with commas, all, or none;"
        " all with --out, else none.",
    ),
]


def survive_command(  # noqa: PLR0913  # the options are the contract
    bars: BarsOption = None,
    market: MarketOption = None,
    years: _YearsOption = None,
    seed: SeedOption = None,
    start: _StartOption = None,
    end: _EndOption = None,
    out: _OutOption = None,
    config: ConfigOption = None,
    *,
    gates: _GatesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk every session of a history: nights, decisions, fills, halts, lives and deaths."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        question = _question(
            bars,
            market,
            years,
            seed,
            start,
            end,
            config,
            gates or ("none" if out is None else "all"),
        )
        found = _walk(question, out, is_shown=not as_json)
        fields = found.fields()
        if as_json:
            print_json(fields, descriptor)
        else:
            _print(fields, out)
        code = CHECK_FAILED if _has_failed(found) else DONE
    raise typer.Exit(code)


def _question(  # as the command
    bars: Path | None,
    market: str | None,
    years: int | None,
    seed: int | None,
    start: str | None,
    end: str | None,
    config: Path | None,
    gates: str,
) -> "Question":
    from instgov_dagster.loop.platform import DEFAULT_SEED
    from instgov_dagster.loop.proving.survival.telling.answer import Question
    from instgov_dagster.vocabulary.bars import Market

    kind = parse_market(market, bars)
    if kind is Market.FILES and bars is None:
        raise InputError("--bars must name a folder for the market files, was nothing")
    if kind is not Market.FILES and bars is not None:
        raise InputError(f"--bars must go with the market files, was given for {kind}")
    if years is not None and (kind is not Market.SIMULATED or start is not None):
        raise InputError("--years must go with --market simulated and without --start")
    if years is not None and not 1 <= years <= 20:
        raise InputError(f"--years must be in [1, 20], was {years}")
    if seed is not None and seed < 0:
        raise InputError(f"--seed must be >= 0, was {seed}")
    first, last = parse_day("--start", start), parse_day("--end", end)
    if first is not None and last is not None and last < first:
        raise InputError(f"--end must be >= --start {first}, was {last}")
    return Question(
        market=kind,
        bars=bars.resolve() if bars else None,
        seed=DEFAULT_SEED if seed is None else seed,
        years=years,
        start=first,
        end=last,
        config_dir=config.resolve() if config else None,
        gates=_gates(gates),
    )


def _gates(text: str) -> tuple[str, ...]:
    from instgov_dagster.loop.proving.survival.variants import GATES

    if text in ("all", "none"):
        return tuple(GATES) if text == "all" else ()
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in GATES]
    if unknown:
        raise InputError(f"--gates must be all, none or of {', '.join(GATES)}, was {unknown[0]!r}")
    return tuple(name for name in GATES if name in names)


def _walk(question: "Question", out: Path | None, *, is_shown: bool) -> "Answer":
    from instgov_dagster.loop.proving.survival.run import survive

    with _bar(is_shown=is_shown) as progress:
        return survive(question, out=out, progress=progress)


@contextmanager
def _bar(*, is_shown: bool) -> "Iterator[Callable[[int, int], None]]":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (is_shown and console.is_terminal):
        yield _unseen
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("sessions", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _unseen(done: int, of: int) -> None:
    del done, of


def _has_failed(found: "Answer") -> bool:
    return not found.gate_holds or (found.parity is not None and not found.parity.holds)


def _print(fields: Mapping[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(no_color=not sys.stdout.isatty() or "NO_COLOR" in os.environ)
    table = Table("", "value")
    for name, value in fields.items():
        if name not in ("benchmarks", "promotions", "decommissions"):
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    for name in ("promotions", "decommissions"):
        told = [f"{row['strategy_id']} {row['to']} {row['date']}" for row in fields[name]]
        table.add_row(name, "; ".join(told) or "none")
    console.print(table)
    peers = Table("beside", "total return", "max drawdown", "worst 5 days")
    for name, row in fields["benchmarks"].items():
        peers.add_row(name, *(f"{row[key]:.2%}" for key in row))
    console.print(peers)
    if out is not None:
        console.print(f"report: {out / 'report.html'}")
