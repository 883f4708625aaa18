"""`bench ingest`, `auction`, `beliefs`, `live`, `survive`: ours beside named peers, in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from instgov_dagster.cli.options import BarsOption, JsonOption
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

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
    *,
    as_json: JsonOption = False,
) -> None:
    """Walk the last sessions of a history, beside cvxportfolio and skfolio's walk-forward."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.bench.survive import bench_survive

        on_row = None if as_json else _echo
        rows = bench_survive(_sizes(sizes), bars=bars, peer_seconds=seconds, on_row=on_row)
        if as_json:
            print_json({"rows": rows}, descriptor)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--sizes must be whole numbers and commas, was {text!r}") from error


def _echo(row: dict[str, Any]) -> None:
    typer.echo("  ".join(f"{name}={value}" for name, value in row.items()))
