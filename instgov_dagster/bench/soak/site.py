"""Where a soak happens: a home, rules, an instance of Dagster, all in one folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import yaml

from instgov_dagster.adapters.runtime import Home

#: Every process of a soak carries its token in the environment: no other process is looked at.
TOKEN_VARIABLE = "INSTGOV_SOAK"  # noqa: S105  # the name of a variable, no secret
_ROOT = Path(__file__).resolve().parents[3]
_STOP_SECONDS = 90.0

#: Beside the packaged universe, so that sixty symbols are decided every second.
MORE_STOCKS = {
    "TECHNOLOGY": ("ADBE", "CRM", "CSCO", "INTC", "ORCL", "TXN"),
    "FINANCIALS": ("GS", "MS", "WFC"),
    "HEALTH_CARE": ("ABBV", "LLY", "MRK"),
    "INDUSTRIALS": ("DE", "HON", "UPS"),
    "CONSUMER_STAPLES": ("COST", "PEP", "WMT"),
    "CONSUMER_DISCRETIONARY": ("LOW", "MCD", "NKE"),
    "COMMUNICATION": ("DIS", "NFLX"),
    "UTILITIES": ("DUK",),
}


def free_port() -> int:
    """Ask the system for a port of the loopback that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@dataclass(slots=True, kw_only=True)
class Site:
    """One folder: ``home``, ``config`` and ``instance``, and the `dagster dev` that serves it.

    Attributes
    ----------
    token
        What its processes carry in their environment.
    starts
        How often `dagster dev` was started.
    """

    folder: Path
    asof: date
    token: str
    port: int = field(default_factory=free_port)
    starts: int = 0
    _dev: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Home:
        """The installation's home."""
        return Home(self.folder / "home")

    @property
    def config(self) -> Path:
        """The folder of its rules."""
        return self.folder / "config"

    def environment(self) -> Mapping[str, str]:
        """Give the environment of every process of the soak."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("INSTGOV_", "DAGSTER_"))}
        return {
            **kept,
            "DAGSTER_HOME": str(self.folder / "instance"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "INSTGOV_AUTOSTART": "1",
            "INSTGOV_HOME": str(self.home.root),
            "INSTGOV_CONFIG": str(self.config),
            TOKEN_VARIABLE: self.token,
        }

    def furnish(self, *, session_cycles: int) -> None:
        """Write rules and instance settings, and run the night that sessions stand on."""
        shutil.copytree(_ROOT / "config", self.config)
        _set_cycles(self.config / "policy.yaml", session_cycles)
        _add_stocks(self.config / "universe.yaml")
        instance = self.folder / "instance"
        instance.mkdir()
        text = (_ROOT / "dagster.yaml").read_text(encoding="utf-8")
        text = text.replace("data/dagster", str(self.folder / "instance"))
        (instance / "dagster.yaml").write_text(text, encoding="utf-8")
        words = ("nightly", "--json", "--asof", self.asof.isoformat())
        where = ("--home", str(self.home.root), "--config", str(self.config))
        with (self.folder / "night.log").open("wb") as log:
            subprocess.run(  # noqa: S603  # our own program
                [str(Path(sys.executable).with_name("instgov")), *words, *where],
                env=self.environment(), cwd=self.folder, stdout=log, stderr=log, check=True,
            )  # fmt: skip

    def start(self) -> None:
        """Start `dagster dev`, which starts webserver, daemon and code server."""
        self.starts += 1
        words = ("dev", "-w", str(_ROOT / "workspace.yaml"), "-p", str(self.port))
        with (self.folder / f"dev-{self.starts}.log").open("wb") as log:
            self._dev = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "dagster", *words],
                env=self.environment(), cwd=_ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def is_running(self) -> bool:
        """Tell whether `dagster dev` itself still runs."""
        return self._dev is not None and self._dev.poll() is None

    def stop(self) -> int | None:
        """Interrupt `dagster dev` as a person would, and wait; None where it had to be killed."""
        if self._dev is None:
            return None
        if self.is_running():
            self._dev.send_signal(signal.SIGINT)
        try:
            return self._dev.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._dev.kill()
            self._dev.wait()
            return None


def _set_cycles(path: Path, cycles: int) -> None:
    text = path.read_text(encoding="utf-8")
    rules = yaml.safe_load(text)
    old = f"\n  cycles: {rules['loop']['cycles']} "
    if old not in text:
        raise ValueError(f"{path} must hold {old!r}")
    path.write_text(text.replace(old, f"\n  cycles: {cycles} "), encoding="utf-8")


def _add_stocks(path: Path) -> None:
    rows = [
        f"  - {{symbol: {symbol}, sector: {sector}}}\n"
        for sector, symbols in MORE_STOCKS.items()
        for symbol in symbols
    ]
    path.write_text(path.read_text(encoding="utf-8") + "".join(rows), encoding="utf-8")
