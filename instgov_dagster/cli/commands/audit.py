"""`audit`: the chains walked again, exported and compacted, the decisions folded again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import CHECK_FAILED, DONE, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from instgov_dagster.adapters.runtime import Home

app = typer.Typer(help="The journal's proof.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Prove what was done."""


@app.command(name="verify")
def verify_command(home: HomeOption = None, *, as_json: JsonOption = False) -> None:
    """Re-walk every chain, compare with the anchors; exit 1 where one is broken."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = verify(home)
        if as_json:
            print_json(fields, descriptor)
        else:
            word = "sound" if fields["ok"] else f"BROKEN at {fields['first_bad']}"
            typer.echo(f"{word}: {fields['frames']} frames, {fields['anchored']} anchored")
            for report in fields["chains"]:
                typer.echo(f"  {report['chain']}: {report['frames']} frames, {report['reason']}")
        code = DONE if fields["ok"] else CHECK_FAILED
    raise typer.Exit(code)


def verify(home: HomeOption) -> dict[str, Any]:
    """Verify the three chains of a home and gather what was found."""
    from dataclasses import asdict

    from instgov_dagster.adapters.journal import key_from, read_anchors, verify_chain
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.vocabulary.governance import Chain

    place = Home(resolve_home(home))
    key = key_from(os.environ)
    reports = [
        verify_chain(
            place.journal_dir,
            chain.value,
            key=key,
            anchors=read_anchors(place.anchors, chain.value),
        )
        for chain in Chain
    ]
    broken = [report for report in reports if not report.ok]
    return {
        "ok": not broken,
        "frames": sum(report.frames for report in reports),
        "head": {report.chain: report.head for report in reports},
        "first_bad": broken[0].first_bad if broken else None,
        "anchored": sum(report.anchored for report in reports),
        "chains": [asdict(report) for report in reports],
    }


@app.command(name="export")
def export_command(
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; new or empty.")],
    home: HomeOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a bundle that a third party verifies without this program."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = export(home, out)
        if as_json:
            print_json(fields, descriptor)
        else:
            typer.echo(f"{len(fields['files'])} files in {out}, sealed by {fields['sha256']}")
            typer.echo(f"  verify it with: python {out / 'verify.py'} --sha256 {fields['sha256']}")


def export(home: HomeOption, out: Path) -> dict[str, Any]:
    """Export the three chains of a home.

    Raises
    ------
    InputError
        If there is no journal at the home, or something stands where the bundle should.
    """
    from dataclasses import asdict

    from instgov_dagster.adapters.journal import export_bundle, key_from
    from instgov_dagster.vocabulary.governance import Chain

    place = _require_journal(home)
    names = [chain.value for chain in Chain]
    return asdict(
        export_bundle(
            out.resolve(), place.journal_dir, place.anchors, names, key=key_from(os.environ)
        )
    )


@app.command(name="compact")
def compact_command(home: HomeOption = None, *, as_json: JsonOption = False) -> None:
    """Turn closed, anchored segments into Parquet that gives every byte of them back."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        fields = compact(home)
        if as_json:
            print_json(fields, descriptor)
        else:
            for row in fields["segments"]:
                ratio = row["bytes_before"] / row["bytes_after"]
                typer.echo(
                    f"{row['chain']} {row['segment']:06d}: {row['frames']} frames, "
                    f"{row['bytes_before']} -> {row['bytes_after']} bytes ({ratio:.1f}x)"
                )
            typer.echo(f"{len(fields['segments'])} segments compacted")


def compact(home: HomeOption) -> dict[str, Any]:
    """Compact the three chains of a home.

    Raises
    ------
    InputError
        If there is no journal at the home.
    """
    from dataclasses import asdict

    from instgov_dagster.adapters.journal import compact_chains, key_from
    from instgov_dagster.vocabulary.governance import Chain

    place, key = _require_journal(home), key_from(os.environ)
    chains = [chain.value for chain in Chain]
    done = compact_chains(place.journal_dir, place.anchors, chains, key=key)
    rows = [{**asdict(row), "path": str(row.path.relative_to(place.root))} for row in done]
    return {
        "segments": rows,
        "bytes_before": sum(row.bytes_before for row in done),
        "bytes_after": sum(row.bytes_after for row in done),
    }


def _require_journal(home: HomeOption) -> "Home":
    from instgov_dagster.adapters.runtime import Home

    place = Home(resolve_home(home))
    if not place.journal_dir.is_dir():
        raise InputError(f"--home must hold a journal, was {place.root}")
    return place


@app.command(name="replay")
def replay_command(
    home: HomeOption = None,
    config: ConfigOption = None,
    cycle: Annotated[
        str | None, typer.Option("--cycle", help="One cycle, from the cold start before it.")
    ] = None,
    *,
    is_all: Annotated[
        bool, typer.Option("--all", help="Every session; the last one without it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fold the recorded inputs again; exit 1 where a decision comes out otherwise."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        if cycle is not None and is_all:
            raise InputError(f"--cycle must be given without --all, was {cycle}")
        fields = replay(home, config, cycle=cycle, is_all=is_all)
        if as_json:
            print_json(fields, descriptor)
        else:
            typer.echo(f"{fields['identical']} of {fields['cycles']} cycles are identical")
            for row in fields["different"]:
                typer.echo(f"  {row['cycle_id']} at {row['frame']}: {row['what']}")
            if fields["is_other_code"]:
                typer.echo("  decided by other code than that which folded it again")
        is_sound = bool(fields["cycles"]) and not fields["different"]
    raise typer.Exit(DONE if is_sound else CHECK_FAILED)


def replay(
    home: HomeOption, config: Path | None, *, cycle: str | None, is_all: bool
) -> dict[str, Any]:
    """Fold a cycle, the last session or all of them again, and gather what came out.

    Raises
    ------
    InputError
        If no cycle of the home's loop is there to fold.
    """
    from dataclasses import asdict

    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import Home, code_sha256
    from instgov_dagster.loop.folding.replay import Replay, last_session

    place, key = Home(resolve_home(home)), key_from(os.environ)
    config_dir = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    wanted = cycle or (None if is_all else last_session(place, key))
    policy = load_policy(config_dir)
    report = Replay(place, policy, key=key, code_hash=code_sha256(), wanted=wanted).run()
    if not report.cycles:
        raise InputError(f"--home must hold a session's cycles, was {place.root}")
    return asdict(report)
