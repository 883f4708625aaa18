"""What was told and what still waits: one small file in the home, replaced whole or not at all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from instgov_dagster.adapters.alerts.alert import Alert
from instgov_dagster.adapters.runtime import replace_durably


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was last told under a name, and when."""

    digest: str
    at: datetime


@dataclass(slots=True, kw_only=True)
class Waiting:
    """An alert and the channels that have not taken it."""

    alert: Alert
    channels: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """A channel that failed: how often in a row, and until when it is left alone."""

    failures: int
    until: datetime
    why: str


@dataclass(slots=True, kw_only=True)
class Outbox:
    """The memory of one home's alerts."""

    told: dict[str, Told] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    resting: dict[str, Resting] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Write the memory as JSON."""
        plain = {
            "told": {
                name: {"digest": told.digest, "at": told.at.isoformat()}
                for name, told in self.told.items()
            },
            "waiting": [
                {"alert": row.alert.to_dict(), "channels": row.channels} for row in self.waiting
            ],
            "resting": {
                name: {"failures": rest.failures, "until": rest.until.isoformat(), "why": rest.why}
                for name, rest in self.resting.items()
            },
        }
        return (json.dumps(plain, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> "Outbox":
        """Read what `to_bytes` wrote.

        Raises
        ------
        ValueError
            If it is nothing that `to_bytes` wrote.
        """
        try:
            return cls._parse(json.loads(body))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no outbox of alerts: {error!r}") from error

    @classmethod
    def _parse(cls, plain: Mapping[str, Any]) -> "Outbox":
        moment = datetime.fromisoformat
        return cls(
            told={
                name: Told(digest=row["digest"], at=moment(row["at"]))
                for name, row in plain["told"].items()
            },
            waiting=[
                Waiting(alert=Alert.from_dict(row["alert"]), channels=list(row["channels"]))
                for row in plain["waiting"]
            ],
            resting={
                name: Resting(
                    failures=int(row["failures"]), until=moment(row["until"]), why=str(row["why"])
                )
                for name, row in plain["resting"].items()
            },
        )


def outbox_path(root: Path) -> Path:
    """Name the file that remembers a home's alerts."""
    return root / "alerts.json"


def read_outbox(root: Path) -> Outbox:
    """Read a home's memory; a home that told nothing remembers nothing.

    Raises
    ------
    OSError, ValueError
        If there is a memory and it cannot be read.
    """
    path = outbox_path(root)
    return Outbox.from_bytes(path.read_bytes()) if path.exists() else Outbox()


def write_outbox(root: Path, outbox: Outbox) -> None:
    """Replace a home's memory.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    replace_durably(outbox_path(root), outbox.to_bytes())
