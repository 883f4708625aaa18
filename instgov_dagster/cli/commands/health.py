"""`health`: are loop, daemon, projection and event log alive; once, or served as /healthz."""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.instance import open_instance
from instgov_dagster.cli.options import ConfigOption, HomeOption, JsonOption, resolve_home
from instgov_dagster.cli.output import DONE, HALTED, exit_codes, print_json, quiet_stdout
from instgov_dagster.vocabulary.errors import InputError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from instgov_dagster.governance.health import Health

LOGGER = logging.getLogger("instgov.health")
_LOOPBACK = "127.0.0.1"

ServeOption = Annotated[
    bool, typer.Option("--serve", help="Answer /healthz and /metrics, and tell what changes.")
]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port of --serve; 0 takes a free one.")
]
HostOption = Annotated[
    str, typer.Option("--host", help="Address --serve listens on; the loopback by default.")
]


def health_command(  # the options are the contract
    home: HomeOption = None,
    config: ConfigOption = None,
    port: PortOption = 8051,
    host: HostOption = _LOOPBACK,
    *,
    serve: ServeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether the platform is alive: exit 0, or 3 with what is wrong."""
    with exit_codes(), quiet_stdout(is_json=as_json) as descriptor, ExitStack() as held:
        watch = Watch(_installed(home), config, held)
        if serve:
            _serve(watch, host, port)
            return
        is_healthy, told = watch.look()
        if as_json:
            print_json(told, descriptor)
        else:
            _print(told)
    raise typer.Exit(DONE if is_healthy else HALTED)


def _installed(home: Path | None) -> Path:
    root = resolve_home(home)
    if not root.is_dir():
        raise InputError(f"--home must be a folder, was {root}")
    return root


class Watch:
    """Looks at one installation, as often as it is asked, from one thread at a time."""

    def __init__(self, root: Path, config: Path | None, held: ExitStack) -> None:
        from instgov_dagster.adapters.config import find_config_dir, load_policy
        from instgov_dagster.adapters.journal import key_from
        from instgov_dagster.adapters.runtime import Home, RealClock
        from instgov_dagster.loop.state_log import StateLog

        self.home = Home(root)
        self.clock = RealClock()
        self._config = find_config_dir(config, environment=os.environ, working_dir=Path.cwd())
        self.policy = load_policy(self._config).operations
        self._state = StateLog(self.home, key_from(os.environ))
        self._instance: DagsterInstance = held.enter_context(open_instance(root))
        self._lock = threading.Lock()
        self._is_writable: bool | None = None
        self._waiting: int | None = 0
        self._before: str | None = None

    def look(self) -> tuple[bool, Mapping[str, Any]]:
        """Read every vital sign and judge; nothing is written."""
        from instgov_dagster.defs.vitals import facts, signs

        health = self._judge()
        return health.is_healthy, {**facts(health), "signs": signs(health.vitals)}

    def tend(self) -> None:
        """Try a write, send the alerts that wait, look, and tell what changed."""
        from instgov_dagster.adapters.alerts.gauges import probe_write
        from instgov_dagster.defs.vitals import tell_health, waiting_alerts

        self._is_writable = probe_write(self.home.dagster)
        self._waiting = waiting_alerts(LOGGER, self.home.root)
        self._before = tell_health(LOGGER, self.home.root, self._judge(), self._before)

    def _judge(self) -> "Health":
        from instgov_dagster.defs.vitals import judge, read_vitals

        with self._lock:
            vitals = read_vitals(
                self.home,
                self._instance,
                self._state.refresh(),
                at=self.clock.now(),
                is_writable=self._is_writable,
                waiting=self._waiting,
                config_dir=self._config,
            )
            return judge(vitals, self._config)


def _serve(watch: Watch, host: str, port: int) -> None:
    from instgov_dagster.adapters.alerts.endpoint import Endpoint
    from instgov_dagster.adapters.runtime.stopping import graceful_stop, wait_until

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    every = timedelta(seconds=watch.policy.watch_every_seconds)
    try:
        endpoint = Endpoint(host, port, watch.look, names=frozenset({host.lower()}))
    except OSError as error:
        raise InputError(f"--port must be free on {host}, was {port}: {error}") from error
    with graceful_stop() as stop, endpoint.serving():
        typer.echo(f"http://{host}:{endpoint.port}/healthz")
        while not stop.is_asked:
            due = watch.clock.now() + every
            try:
                watch.tend()
            except Exception:
                # The endpoint goes on: it fails for itself where a look fails.
                LOGGER.exception("the watch failed")
            wait_until(watch.clock, due, stop)


def _print(told: Mapping[str, Any]) -> None:
    typer.echo("healthy" if told["is_healthy"] else "not healthy")
    for code, row in told["numbers"].items():
        value = "unseen" if row["value"] is None else f"{row['value']:.1f}"
        bound = "" if row["bound"] is None else f", bound {row['bound']:g}"
        typer.echo(f"  {code}: {value}{bound}")
    for name, value in told["signs"].items():
        typer.echo(f"  {name}: {value}")
