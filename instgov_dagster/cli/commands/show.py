"""`report` and `dashboard`: a home for people to look at; neither changes anything in it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.vocabulary.config import Policy

_LOOK = timedelta(seconds=3600)
_TOKEN = "INSTGOV_DASHBOARD_TOKEN"  # noqa: S105  # the name of the variable

OutOption = Annotated[
    Path | None, typer.Option("--out", help="The file; published/report.html of the home if not.")
]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free port.")
]
HostOption = Annotated[
    str, typer.Option("--host", help=f"Another address than the loopback needs {_TOKEN}.")
]


def report_command(
    out: OutOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the static governance report: one HTML file that asks nobody for anything."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor:
        from instgov_dagster.adapters.journal import key_from
        from instgov_dagster.dashboard.report import write_report

        place, policy = _opened(home, config)
        path, size = write_report(
            place, policy, key=key_from(os.environ), out=None if out is None else out.resolve()
        )
        if as_json:
            print_json({"path": str(path), "bytes": size}, descriptor)
        else:
            typer.echo(f"{path} ({size / 1e6:.1f} MB)")


def dashboard_command(
    port: PortOption = 8050,
    host: HostOption = "127.0.0.1",
    home: HomeOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Serve the live dashboard until it is interrupted; read-only, on the loopback."""
    del as_json  # every command takes it; a server has no one answer
    with exit_codes():
        place, policy = _opened(home, config, must_exist=False)
        _serve(place, policy, host, port)


def _opened(
    home: Path | None, config: Path | None, *, must_exist: bool = True
) -> tuple["Home", "Policy"]:
    from instgov_dagster.adapters.config import find_config_dir, load_policy
    from instgov_dagster.adapters.runtime import Home

    place = Home(resolve_home(home))
    if must_exist and not place.root.is_dir():
        raise InputError(f"--home must be a folder, was {place.root}")
    folder = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
    return place, load_policy(folder)


def _serve(place: "Home", policy: "Policy", host: str, port: int) -> None:
    from instgov_dagster.adapters.journal import key_from
    from instgov_dagster.adapters.runtime import RealClock
    from instgov_dagster.adapters.runtime.stopping import graceful_stop, wait_until
    from instgov_dagster.dashboard.reading.board import BoardReader
    from instgov_dagster.dashboard.serving.server import DashboardServer, require_safe
    from instgov_dagster.dashboard.serving.watcher import Watcher

    token = os.environ.get(_TOKEN) or None
    require_safe(host, token)
    watcher = Watcher(BoardReader(place, policy, key=key_from(os.environ)))
    try:
        server = DashboardServer(host, port, watcher, token=token)
    except OSError as error:
        raise InputError(f"--port must be free on {host}, was {port}: {error}") from error
    clock = RealClock()
    with graceful_stop() as stop, watcher, server.serving():
        typer.echo(f"http://{host}:{server.port}/")
        while not stop.is_asked:
            wait_until(clock, clock.now() + _LOOK, stop)
