"""The commands gathered under one name; each lives in its own module and loads lazily."""

import typer

from instgov_dagster.cli.commands import (
    audit,
    backup,
    bench,
    health,
    inspect,
    lake,
    operate,
    prove,
    run,
    show,
    survive,
    veto,
    why,
)

app = typer.Typer(
    name="instgov",
    help="Institutional trading governance: nights, live sessions, their state and their proof.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(name="run")(run.run_command)
app.command(name="nightly")(run.nightly_command)
app.command(name="live")(run.live_command)
app.command(name="status")(inspect.status_command)
app.command(name="why")(why.why_command)
app.command(name="health")(health.health_command)
app.command(name="quality")(inspect.quality_command)
app.command(name="halt")(operate.halt_command)
app.command(name="resume")(operate.resume_command)
app.command(name="rebuild")(operate.rebuild_command)
app.command(name="backup")(backup.backup_command)
app.command(name="restore")(backup.restore_command)
app.command(name="report")(show.report_command)
app.command(name="dashboard")(show.dashboard_command)
app.command(name="prove")(prove.prove_command)
app.command(name="drill")(prove.drill_command)
app.command(name="survive")(survive.survive_command)
app.add_typer(audit.app, name="audit")
app.add_typer(bench.app, name="bench")
app.add_typer(lake.app, name="lake")
app.add_typer(veto.app, name="veto")
