"""Drills of what a session stands on: journal, disk, snapshot, rules, code, phases, approvals."""

from dataclasses import replace

import polars as pl

from instgov_dagster.loop.live.frames import CYCLE_KIND, SESSION_KIND
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.proving.drills.faults import (
    file_size_limit,
    flip_bit,
    frame_bytes,
    republish,
    segment_of,
)
from instgov_dagster.loop.proving.drills.stage import NEXT_DAY, Stage
from instgov_dagster.loop.proving.wire import refused_forgeries
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.governance import Phase

_MIB = 1024 * 1024
_NO_CODE = "0" * 64


def audit_unwritable(stage: Stage) -> None:
    """Let the journal grow by what a session's first frame takes and half a cycle's more."""
    segment, frames = segment_of(stage), stage.frames()
    started = frame_bytes(frames, segment, SESSION_KIND)
    cycle = frame_bytes(frames, segment, CYCLE_KIND)
    with file_size_limit(segment.stat().st_size + started + cycle // 2):
        stage.lead()
    stage.statistic = float(segment.stat().st_size)


def disk_full(stage: Stage) -> None:
    """Ask for more free space than any disk has."""
    loop = replace(stage.platform.policy.loop, min_free_disk_mib=2**50)
    policy = replace(stage.platform.policy, loop=loop)
    stage.lead(replace(stage.platform, policy=policy))


def broken_chain(stage: Stage) -> None:
    """Flip a bit in the middle of the first cycle's frame."""
    frames = stage.frames()
    first = next(frame for frame in frames if frame.kind == CYCLE_KIND)
    offset = first.offset + frame_bytes([first], segment_of(stage), CYCLE_KIND) // 8
    flip_bit(segment_of(stage), offset)
    stage.lead()


def cut_chain(stage: Stage) -> None:
    """Cut the last frame off, whole."""
    with segment_of(stage).open("r+b") as stream:
        stream.truncate(stage.frames()[-1].offset)
    stage.lead()


def snapshot_damaged(stage: Stage) -> None:
    """Flip a bit of a table that is published."""
    folder = stage.platform.home.published / "night"
    table = next(folder.glob("*/market_impact.parquet"))
    flip_bit(table, table.stat().st_size // 2)
    stage.lead()


def wrong_config_hash(stage: Stage) -> None:
    """Edit one number of the rules after the night, and come as a new process."""
    path = stage.root / "config" / "policy.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n# edited after the night\n", encoding="utf-8")
    hurdle = 2.0 * stage.platform.policy.auction.hurdle
    edited = text.replace("  hurdle: ", f"  hurdle: {hurdle}  # was ", 1)
    path.write_text(edited, encoding="utf-8")
    stage.reopen()
    stage.lead()


def wrong_code_hash(stage: Stage) -> None:
    """Let the published night say that other code made it."""
    republish(stage, meta={"code_hash": _NO_CODE})
    stage.lead()


def phase_out_of_order(stage: Stage) -> None:
    """Publish the night without the stamp of its execution simulation."""
    missing = Phase.EXECUTION_SIMULATION.value
    republish(stage, tables={"phase_stamps": lambda rows: rows.filter(pl.col("phase") != missing)})
    stage.lead()


def phase_skipped_at_night(stage: Stage) -> None:
    """Run a step of the fourth phase straight after the first, as the shell would.

    All it reads is there: only the stamps of the two phases between are not.
    """

    def act() -> None:
        with NightRun(stage.platform, NEXT_DAY, run_id="drill") as night:
            night.ingest()
            try:
                for name in ("data_quality", "price_history", "cvar_coverage"):
                    night.run_step(name)
            except SystemHalt as halt:
                night.stop(halt)
                raise

    stage.attempt(act)


def forged_order(stage: Stage) -> None:
    """Send the router what governance did not mint."""
    forgeries = refused_forgeries()
    stage.codes.update(code for code, _ in forgeries.values() if code is not None)
    stage.failures += [
        f"the router took an order {how}" for how, (_, sent) in forgeries.items() if sent
    ]
    stage.failures += [
        f"nothing was told of an order {how}"
        for how, (code, _) in forgeries.items()
        if code is None
    ]
    stage.statistic = float(len(forgeries))
