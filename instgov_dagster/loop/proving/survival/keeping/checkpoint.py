"""A walk's memory on disk between two sessions: written whole or not at all, read bit-equal."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from instgov_dagster.adapters.runtime import replace_durably
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.governance.state.rows import cause_from_dict, cause_to_dict
from instgov_dagster.loop.decision.book import book_from_dict, book_to_dict
from instgov_dagster.loop.proving.survival.keeping.memory import MEMORY_TABLES, Memory
from instgov_dagster.loop.proving.survival.keeping.records import TABLES, Records
from instgov_dagster.loop.proving.survival.keeping.standing import Standing
from instgov_dagster.loop.proving.survival.knowing.nights import Learnt
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain, EventKind, StateEvent

FOLDER: Final = "checkpoint"
_POINTER: Final = "CURRENT.json"


def save(
    out: Path, memories: Mapping[str, Memory], records: Records, *, done: int, question: str
) -> None:
    """Write where a walk stands; the one before stays until this one is whole.

    Parameters
    ----------
    question
        A digest of what is walked: another question never goes on from here.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"at-{done:06d}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for name, frame in records.tables.items():
        frame.write_ipc(new / f"records-{name}.arrow")
    for walk, memory in memories.items():
        for name, frame in memory.tables.items():
            frame.write_ipc(new / f"{walk}-{name}.arrow")
        memory.learnt.fits.write_ipc(new / f"{walk}-fits.arrow")
        memory.learnt.trials.write_ipc(new / f"{walk}-trials.arrow")
    told = {walk: _plain(memory) for walk, memory in memories.items()}
    body = {"done": done, "question": question, "folder": new.name, "memories": told}
    replace_durably(folder / _POINTER, json.dumps(body, sort_keys=True).encode())
    for old in folder.iterdir():
        if old.is_dir() and old != new:
            shutil.rmtree(old)


def load(out: Path, *, question: str) -> tuple[int, dict[str, Memory], Records] | None:
    """Read where a walk of this question stands; None where none was begun.

    Raises
    ------
    InputError
        If the folder holds a walk of another question, or one that cannot be read.
    """
    pointer = out / FOLDER / _POINTER
    if not pointer.is_file():
        return None
    try:
        told = json.loads(pointer.read_text(encoding="utf-8"))
        return _loaded(pointer.parent / told["folder"], told, out=out, question=question)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"--out must hold a readable checkpoint, {out}: {error}") from error


def _loaded(
    folder: Path, told: Mapping[str, Any], *, out: Path, question: str
) -> tuple[int, dict[str, Memory], Records]:
    if told["question"] != question:
        raise InputError(f"--out must be empty or hold this same walk, {out} holds another's")
    records = Records()
    for name, schema in TABLES.items():
        records.tables[name] = _read(folder / f"records-{name}.arrow", schema)
    memories = {walk: _memory(folder, walk, row) for walk, row in told["memories"].items()}
    return int(told["done"]), memories, records


def drop(out: Path) -> None:
    """Remove the checkpoint of a walk that is done."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    return pl.read_ipc(path).select(list(schema)).cast(schema)


def _plain(memory: Memory) -> dict[str, Any]:
    return {
        "book": book_to_dict(memory.book),
        "values": memory.values,
        "flows": memory.flows,
        "income": memory.income,
        "marks": memory.marks,
        "absent": memory.absent,
        "removed": list(memory.removed),
        "halted": memory.halted,
        "heads": {chain.value: head for chain, head in memory.standing.heads.items()},
        "events": [_event(event) for event in memory.standing.events],
        "acts": [{**act, "date": act["date"].isoformat()} for act in memory.standing.acts],
    }


def _memory(folder: Path, walk: str, told: Mapping[str, Any]) -> Memory:
    standing = Standing(
        events=[_event_of(row) for row in told["events"]],
        heads={Chain(name): head for name, head in told["heads"].items()},
        acts=[{**act, "date": date.fromisoformat(act["date"])} for act in told["acts"]],
    )
    memory = Memory(
        book=book_from_dict(told["book"]),
        tables={
            name: _read(folder / f"{walk}-{name}.arrow", schema)
            for name, schema in MEMORY_TABLES.items()
        },
        removed=tuple(told["removed"]),
        halted=int(told["halted"]),
        learnt=Learnt(
            fits=_read(folder / f"{walk}-fits.arrow", SIGMA_FIT_SCHEMA),
            trials=_read(folder / f"{walk}-trials.arrow", TRIALS_SCHEMA),
        ),
        standing=standing,
    )
    for name in ("values", "flows", "income", "marks", "absent"):
        setattr(memory, name, dict(told[name]))
    return memory


def _event(event: StateEvent) -> dict[str, Any]:
    plain = asdict(event)
    plain |= {
        "kind": event.kind.value,
        "chain": event.chain.value,
        "heads": [[chain.value, head] for chain, head in event.heads],
        "cause": None if event.cause is None else cause_to_dict(event.cause),
    }
    return plain


def _event_of(row: Mapping[str, Any]) -> StateEvent:
    return StateEvent(
        kind=EventKind(row["kind"]),
        chain=Chain(row["chain"]),
        sequence=row["sequence"],
        heads=tuple((Chain(name), head) for name, head in row["heads"]),
        cause=None if row["cause"] is None else cause_from_dict(row["cause"]),
        operator=row["operator"],
        reason=row["reason"],
    )
