"""The command line on another day's clock, and all it talks to on the loopback."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from instgov_dagster.adapters.runtime import RealClock
from instgov_dagster.cli.app import app
from instgov_dagster.cli.instance import open_instance
from instgov_dagster.definitions import defs
from instgov_dagster_tests.adapters.wire.world import LiveWorld, ShiftedClock, write_live_config
from instgov_dagster_tests.loop.homes import ASOF

BEFORE_THE_OPEN = datetime(2025, 3, 12, 6, 30, tzinfo=UTC)
TRADING = datetime(2025, 3, 12, 15, 0, tzinfo=UTC)
AGREED = {f"{name}_agree": True for name in ("orders", "fills", "positions", "cash")}
AGREED["parity"] = True


class Rehearsal:
    """The command line on a machine whose clock stands elsewhere, and services on the loopback."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self._printed = folder, capfd
        self.config = write_live_config(folder / "config")
        self._patch = monkeypatch
        self._now = RealClock.now
        self.set_clock(BEFORE_THE_OPEN)
        self.world = LiveWorld(self.config, asof=ASOF, now=lambda: RealClock().now())
        for name, value in self.world.environment().items():
            monkeypatch.setenv(name, value)

    def set_clock(self, instant: datetime) -> None:
        """Set the machine's clock; the services have the same."""
        self._patch.setattr(RealClock, "now", self._now)
        shift = ShiftedClock.at(instant).shift
        plain = self._now
        self._patch.setattr(RealClock, "now", lambda clock: plain(clock) + shift)

    def call(self, command: str, *more: str) -> tuple[int, dict[str, Any], str]:
        """Call the command line in this process; give its code, its object, and all it said."""
        words = [
            command, "--market", "live", "--home", str(self.folder / "data"), "--config",
            str(self.config), "--asof", ASOF.isoformat(), *more, "--json",
        ]  # fmt: skip
        result = CliRunner().invoke(app, words)
        out, err = self._printed.readouterr()
        return result.exit_code, json.loads(out), out + err + result.output

    def agreed(self) -> dict[str, bool]:
        """Run the asset `reconciliation`, as what follows a day does, and give its checks."""
        config = {"home": str(self.folder / "data"), "market": "live"}
        job = defs().resolve_job_def("after_session")
        with open_instance(self.folder / "data") as instance:
            result = job.execute_in_process(
                instance=instance,
                partition_key=ASOF.isoformat(),
                run_config={
                    "resources": {
                        "platform": {"config": {**config, "config_dir": str(self.config)}}
                    }
                },
                asset_selection=[dg.AssetKey("reconciliation")],
                raise_on_error=False,
            )
        return {row.check_name: row.passed for row in result.get_asset_check_evaluations()}
