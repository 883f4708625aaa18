"""`bench ingest`, `shards`, `auction`, `beliefs`, `live`, `survive`: ours beside named peers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import BarsOption, JsonOption, parse_day
from instgov_dagster.cli.output import CHECK_FAILED, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:  # a bench's libraries load with the bench
    from instgov_dagster.bench.regression.judging import Judged

app = typer.Typer(help="Ours beside named peers, in one run.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure; a claim of speed comes from here."""


@app.command(name="ingest")
def ingest_command(
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of symbols, comma separated.")] = (
        "5000"
    ),
    *,
    as_json: JsonOption = False,
) -> None:
    """Two nights of ingestion for each size, beside pandas on sqlite at 500 symbols."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.ingest.command import bench_ingest

        rows = bench_ingest(_sizes(sizes), on_row=None if as_json else _echo)
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="shards")
def shards_command(
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of symbols, comma separated.")] = (
        "5000"
    ),
    workers: Annotated[int, typer.Option("--workers", help="Processes, a shard each.")] = 4,
    latency: Annotated[
        float, typer.Option("--latency-ms", min=0.0, help="How late the provider answers.")
    ] = 200.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Bring a night's bars by several workers, beside one process, from a late provider."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.ingest.shards import bench_shards

        rows = bench_shards(
            _sizes(sizes),
            workers=workers,
            latency_seconds=latency / 1000.0,
            on_row=None if as_json else _echo,
        )
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="auction")
def auction_command(
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of bids, comma separated.")] = (
        "50,100,500,1000,3000"
    ),
    *,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Write the results page, its numbers and its picture there."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """One auction cold and second by second, beside cvxpy, skfolio, scipy, HiGHS and others."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.runtime import RealClock
        from instgov_dagster.bench.auction.command import bench_auction
        from instgov_dagster.bench.auction.page import write_page
        from instgov_dagster.bench.machine import describe_machine

        if write is not None and (write.suffix != ".md" or not write.parent.is_dir()):
            raise InputError(f"--write must name a .md file in a folder that exists, was {write}")
        rows = bench_auction(_sizes(sizes), on_row=None if as_json else _echo)
        if write is not None:
            write_page(
                write, {"date": RealClock().now().date().isoformat()} | describe_machine(), rows
            )
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="beliefs")
def beliefs_command(
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of symbols, comma separated.")] = (
        "500"
    ),
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="What a peer may take for one size.")
    ] = 60.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure a night of beliefs and one live update, beside pandas, arch and hmmlearn."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.beliefs import bench_beliefs

        on_row = None if as_json else _echo
        rows = bench_beliefs(_sizes(sizes), peer_seconds=seconds, on_row=on_row)
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="live")
def live_command(
    sizes: Annotated[
        str, typer.Option("--sizes", help="Numbers of bids, six a symbol, comma separated.")
    ] = "360,3000,18000",
    seconds: Annotated[
        float, typer.Option("--seconds", min=4.0, help="How long each session leads.")
    ] = 120.0,
    period: Annotated[
        float, typer.Option("--period", min=0.0, help="Seconds between cycles; 0 is back to back.")
    ] = 1.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Lead the governed session at each size, beside one new process a cycle."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.live.command import bench_live

        rows = bench_live(
            _sizes(sizes),
            seconds=seconds,
            period_seconds=period,
            on_row=None if as_json else _echo,
        )
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="survive")
def survive_command(
    sizes: Annotated[
        str, typer.Option("--sizes", help="Numbers of sessions walked, comma separated.")
    ] = "32",
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="What a peer may take for one size.")
    ] = 60.0,
    bars: BarsOption = None,
    end: Annotated[
        str | None, typer.Option("--end", help="Last session, YYYY-MM-DD; else the history's.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Walk the last sessions of a history, beside cvxportfolio and skfolio's walk-forward."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.survive import bench_survive

        on_row = None if as_json else _echo
        rows = bench_survive(
            _sizes(sizes),
            bars=bars,
            end=parse_day("--end", end),
            peer_seconds=seconds,
            on_row=on_row,
        )
        if as_json:
            print_json({"rows": rows}, descriptor)


@app.command(name="all")
def all_command(
    baselines: Annotated[
        Path, typer.Option("--baselines", help="The committed ratios, in JSON.")
    ] = Path("docs/evidence/bench.json"),
    only: Annotated[
        str | None, typer.Option("--only", help="Some of the benches, comma separated.")
    ] = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write this run's ratios there instead of judging them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every bench small and hold its ratios against those committed; 1 where one fell."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.machine import describe_machine
        from instgov_dagster.bench.regression import judging, suite

        names = _benches(only, tuple(suite.BENCHES))
        if write and only is not None:
            raise InputError(f"--write must measure every bench, was asked for {only}")
        kept = {} if write else judging.read_baselines(baselines)
        measured = suite.measure(names, on_bench=None if as_json else typer.echo)
        if write:
            judging.write_baselines(
                baselines, measured, tolerances=suite.tolerances(), machine=describe_machine()
            )
            kept = judging.read_baselines(baselines)
        asked = {ratio.name for ratio, _ in suite.ratios() if ratio.bench not in names}
        judged = judging.judge(measured, {n: b for n, b in kept.items() if n not in asked})
        _print_judged(judged, descriptor, as_json=as_json)
    if not all(one.finding.passes for one in judged):
        raise typer.Exit(CHECK_FAILED)


def _benches(only: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    named = known if only is None else tuple(only.split(","))
    unknown = [name for name in named if name not in known]
    if unknown:
        raise InputError(f"--only must name {', '.join(known)}, was {', '.join(unknown)}")
    return named


def _print_judged(judged: "Sequence[Judged]", descriptor: int | None, *, as_json: bool) -> None:
    from instgov_dagster.bench.regression.judging import COLUMNS, table

    if as_json:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in table(judged)]
        print_json({"ratios": rows}, descriptor)
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(*COLUMNS)
    for row in table(judged):
        shown.add_row(*row)
    Console().print(shown)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--sizes must be whole numbers and commas, was {text!r}") from error


def _echo(row: dict[str, Any]) -> None:
    typer.echo("  ".join(f"{name}={value}" for name, value in row.items()))
