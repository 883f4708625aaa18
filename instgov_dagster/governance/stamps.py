"""The execution order: each step leaves a stamp, and no step runs without the stamps before it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl

from instgov_dagster.governance.audit import sha256_of
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Phase, PhaseStamp
from instgov_dagster.vocabulary.reasons import ReasonCode

PHASES = tuple(Phase)  # in the roadmap's non-negotiable order; PHASES[k - 1] is step k

STAMP_SCHEMA = pl.Schema(
    {
        "phase": pl.String(),
        "step": pl.Int64(),
        "asof": pl.Date(),
        "parents": pl.List(pl.String),
        "output_hash": pl.String(),
        "stamp_hash": pl.String(),
    }
)


def phase_of(phase: Phase | int) -> Phase:
    """Give the phase by itself or by its step, 1 to 7.

    Raises
    ------
    ValueError
        If there is no such step.
    """
    if isinstance(phase, Phase):
        return phase
    if isinstance(phase, bool) or not 1 <= phase <= len(PHASES):
        raise ValueError(f"a step of the execution order must be 1 to {len(PHASES)}, was {phase!r}")
    return PHASES[phase - 1]


def _stamp_hash(phase: Phase, asof: date, output_hash: str, parents: Sequence[str]) -> str:
    return sha256_of(
        {"phase": phase, "asof": asof, "output_hash": output_hash, "parents": list(parents)}
    )


def stamp_phase(
    phase: Phase | int,
    asof: date,
    output_hashes: Mapping[str, str],
    parents: Iterable[PhaseStamp],
) -> PhaseStamp:
    """Stamp a step that is done, on the stamps of all the steps before it.

    Parameters
    ----------
    phase
        The phase, or its step from 1 to 7.
    output_hashes
        Table name to content hash, one for each output of the step.
    parents
        Stamps of the date; those of later steps, left by an earlier run, are ignored.

    Raises
    ------
    SystemHalt
        PHASE_ORDER_VIOLATED where an earlier stamp is missing, stale or forged.
    ValueError
        If the step names no output.
    """
    named = phase_of(phase)
    if not output_hashes or not all(output_hashes.values()):
        raise ValueError(f"a stamp must name the hash of each output, was {dict(output_hashes)}")
    before = require_stamps(parents, named, asof)
    hashes = tuple(stamp.stamp_hash for stamp in before)
    output_hash = sha256_of(dict(output_hashes))
    return PhaseStamp(
        phase=named,
        asof=asof,
        output_hash=output_hash,
        parents=hashes,
        stamp_hash=_stamp_hash(named, asof, output_hash, hashes),
    )


def find_violations(
    stamps: Iterable[PhaseStamp],
    phase: Phase | int,
    asof: date,
    outputs: Mapping[Phase, Mapping[str, str]] | None = None,
) -> tuple[str, ...]:
    """Say what is wrong with the stamps a step stands on; an empty answer is a clear one.

    Parameters
    ----------
    outputs
        For the phases named: the hashes of their tables as they are now. A table rewritten after
        its stamp makes the stamp stale.
    """
    needed = PHASES[: phase_of(phase).step - 1]
    held: dict[Phase, set[PhaseStamp]] = {name: set() for name in PHASES}
    for stamp in stamps:
        held[stamp.phase].add(stamp)
    found: list[str] = []
    expected: list[str] = []
    for name in needed:
        todays = {stamp for stamp in held[name] if stamp.asof == asof}
        if len(todays) == 1:
            stamp = todays.pop()
            found += _flaws(stamp, expected, (outputs or {}).get(name))
            expected.append(stamp.stamp_hash)
            continue
        # What is missing or ambiguous cannot match any later stamp's parent either.
        expected.append("")
        if todays:
            found.append(f"{name}: {len(todays)} different stamps for {asof}")
        elif held[name]:
            last = max(stamp.asof for stamp in held[name])
            found.append(f"{name}: stale, stamped for {last}, not for {asof}")
        else:
            found.append(f"{name}: missing for {asof}")
    return tuple(found)


def _flaws(
    stamp: PhaseStamp, expected: Sequence[str], outputs: Mapping[str, str] | None
) -> list[str]:
    made = _stamp_hash(stamp.phase, stamp.asof, stamp.output_hash, stamp.parents)
    if made != stamp.stamp_hash:
        return [f"{stamp.phase}: forged, its hash is not that of its content"]
    if stamp.parents != tuple(expected):
        return [f"{stamp.phase}: stale, it stands on other stamps than those before it"]
    if outputs is not None and sha256_of(dict(outputs)) != stamp.output_hash:
        return [f"{stamp.phase}: stale, its outputs changed after it was stamped"]
    return []


def require_stamps(
    stamps: Iterable[PhaseStamp],
    phase: Phase | int,
    asof: date,
    outputs: Mapping[Phase, Mapping[str, str]] | None = None,
) -> tuple[PhaseStamp, ...]:
    """Return the stamps of all the steps before this one, in order, or stop the system.

    Raises
    ------
    SystemHalt
        PHASE_ORDER_VIOLATED, naming every stamp that is missing, stale, ambiguous or forged.
    """
    named = phase_of(phase)
    listed = list(stamps)
    violations = find_violations(listed, named, asof, outputs)
    if violations:
        detail = f"{named} (step {named.step}) may not run: " + "; ".join(violations)
        raise SystemHalt(ReasonCode.PHASE_ORDER_VIOLATED, detail)
    before = {
        stamp.phase: stamp
        for stamp in listed
        if stamp.asof == asof and stamp.phase.step < named.step
    }
    return tuple(before[name] for name in PHASES[: named.step - 1])


def stamps_to_frame(stamps: Iterable[PhaseStamp]) -> pl.DataFrame:
    """Lay stamps out as rows of the table phase_stamps."""
    rows = [
        {
            "phase": stamp.phase.value,
            "step": stamp.step,
            "asof": stamp.asof,
            "parents": list(stamp.parents),
            "output_hash": stamp.output_hash,
            "stamp_hash": stamp.stamp_hash,
        }
        for stamp in stamps
    ]
    return pl.DataFrame(rows, schema=STAMP_SCHEMA)


def stamps_from_frame(frame: pl.DataFrame) -> tuple[PhaseStamp, ...]:
    """Read rows of the table phase_stamps; further columns are ignored.

    Raises
    ------
    SystemHalt
        PHASE_ORDER_VIOLATED where a row names no phase.
    """
    known = {name.value: name for name in PHASES}
    out = []
    for row in frame.iter_rows(named=True):
        if row["phase"] not in known:
            detail = f"a stamp names no phase: {row['phase']!r}"
            raise SystemHalt(ReasonCode.PHASE_ORDER_VIOLATED, detail)
        out.append(
            PhaseStamp(
                phase=known[row["phase"]],
                asof=row["asof"],
                output_hash=row["output_hash"],
                parents=tuple(row["parents"] or ()),
                stamp_hash=row["stamp_hash"],
            )
        )
    return tuple(out)
