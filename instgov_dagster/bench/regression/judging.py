"""Ratios against their baselines: pure; what is measured, and how long it takes, is elsewhere.

A ratio is the peer's time over ours, both of one run on one machine: 10 is ten times faster than
the peer. Seconds differ from machine to machine and prove nothing; ratios differ far less.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from instgov_dagster.vocabulary.errors import InputError

Row = Mapping[str, Any]


class Finding(StrEnum):
    """What became of one ratio."""

    HELD = "held"
    BETTER = "better"
    REGRESSED = "regressed"
    NOT_MEASURED = "not measured"
    NO_BASELINE = "no baseline"

    @property
    def passes(self) -> bool:
        """Whether the run may be called one without a regression."""
        return self in (Finding.HELD, Finding.BETTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One comparison of two rows of a bench.

    Attributes
    ----------
    ours, peer
        What the row of each says: names of its fields, and their values.
    measure
        The field compared.
    is_rate
        Whether more of it is better; else it is a time, or a size.
    """

    name: str
    bench: str
    ours: Row
    peer: Row
    measure: str
    is_rate: bool = False

    def of(self, rows: Sequence[Row]) -> float | None:
        """Give the ratio, more being better; None where either row has no such number."""
        mine, theirs = (self._value(rows, wanted) for wanted in (self.ours, self.peer))
        if mine is None or theirs is None:
            return None
        return mine / theirs if self.is_rate else theirs / mine

    def _value(self, rows: Sequence[Row], wanted: Row) -> float | None:
        found = [row for row in rows if wanted.items() <= row.items()]
        value = found[0].get(self.measure) if len(found) == 1 else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if math.isfinite(value) and value > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A committed ratio, and by what share of it a run may fall short.

    Raises
    ------
    InputError
        If the ratio is not > 0 or the tolerance not in [0, 1).
    """

    ratio: float
    tolerance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise InputError(f"a baseline's ratio must be > 0, was {self.ratio}")
        if not 0 <= self.tolerance < 1:
            raise InputError(f"a baseline's tolerance must be in [0, 1), was {self.tolerance}")

    @property
    def least(self) -> float:
        """The least ratio that is no regression."""
        return self.ratio * (1.0 - self.tolerance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One ratio beside its baseline."""

    name: str
    finding: Finding
    ratio: float | None
    baseline: Baseline | None


def judge(
    measured: Mapping[str, float | None], baselines: Mapping[str, Baseline]
) -> tuple[Judged, ...]:
    """Hold every ratio measured against its baseline, and every baseline against the run.

    A baseline that nothing was measured for fails, and so does a ratio without one: a bench that
    was renamed or fell silent must not look like one that held.

    Parameters
    ----------
    measured
        By name; None where a bench ran and gave no such number.
    """
    names = sorted({*measured, *baselines})
    return tuple(_judged(name, measured.get(name), baselines.get(name)) for name in names)


def _judged(name: str, ratio: float | None, baseline: Baseline | None) -> Judged:
    return Judged(name=name, finding=_finding(ratio, baseline), ratio=ratio, baseline=baseline)


def _finding(ratio: float | None, baseline: Baseline | None) -> Finding:
    if ratio is None or not math.isfinite(ratio):
        return Finding.NOT_MEASURED
    if baseline is None:
        return Finding.NO_BASELINE
    if ratio < baseline.least:
        return Finding.REGRESSED
    return Finding.BETTER if ratio > baseline.ratio else Finding.HELD


def read_baselines(path: Path) -> dict[str, Baseline]:
    """Read the committed ratios.

    Raises
    ------
    InputError
        If the file is missing or says anything else, naming what.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        ratios = told["ratios"]
        return {
            str(name): Baseline(ratio=float(one["ratio"]), tolerance=float(one["tolerance"]))
            for name, one in ratios.items()
        }
    except FileNotFoundError as error:
        raise InputError(f"--baselines must name a file that exists, was {path}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} must hold ratios by name, was not: {error}") from error


def write_baselines(
    path: Path,
    measured: Mapping[str, float | None],
    *,
    tolerances: Mapping[str, float],
    machine: Mapping[str, Any],
) -> None:
    """Write a run's ratios down as the ones to be held.

    Raises
    ------
    InputError
        If one of them was not measured: a baseline is whole or it is none.
    """
    absent = [name for name, ratio in measured.items() if ratio is None]
    if absent:
        raise InputError(f"a baseline must hold every ratio, lacked {', '.join(absent)}")
    ratios = {
        name: {"ratio": float(f"{ratio:.3g}"), "tolerance": tolerances[name]}
        for name, ratio in sorted(measured.items())
    }
    body = {"machine": dict(machine), "ratios": ratios}
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


COLUMNS: Final = ("ratio", "baseline", "least", "now", "finding")


def table(judged: Sequence[Judged]) -> list[tuple[str, ...]]:
    """Give the rows of the table that a run prints, under `COLUMNS`."""
    return [
        (
            one.name,
            "–" if one.baseline is None else f"{one.baseline.ratio:.3g}",
            "–" if one.baseline is None else f"{one.baseline.least:.3g}",
            "–" if one.ratio is None else f"{one.ratio:.3g}",
            one.finding.value,
        )
        for one in judged
    ]
