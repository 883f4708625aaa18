"""`audit verify`: walk the chains again and hold them against their anchors."""

import os
from typing import Any

import typer

from instgov_dagster.cli.options import HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import CHECK_FAILED, DONE, exit_codes, print_json, quiet_stdout

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
