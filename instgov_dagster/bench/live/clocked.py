"""A platform whose loop chain times its frames; all else is the platform's own."""

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.journal import Journal
from instgov_dagster.adapters.runtime import Clock
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.loop.platform import Platform
from instgov_dagster.vocabulary.audit import AppendReceipt
from instgov_dagster.vocabulary.governance import Chain


class ClockedJournal(Journal):
    """A chain that notes, for every cycle's frame, when it was written, how long that took."""

    def append(self, kind: str, table: pa.Table, meta: Mapping[str, Any]) -> AppendReceipt:
        """Append as the chain does, between two readings of the clock."""
        begun = time.perf_counter()
        receipt = super().append(kind, table, meta)
        if kind == CYCLE_KIND:
            done = time.perf_counter()
            size = self.anchor().bytes - receipt.offset
            FRAMES.append((done, 1e3 * (done - begun), size, 1e3 * time.process_time()))
        return receipt


#: Of every cycle's frame: the instant it was on disk, in seconds, how many milliseconds writing
#: took, its bytes, and the processor's milliseconds the process had used by then.
FRAMES: list[tuple[float, float, int, float]] = []


class ClockedPlatform(Platform):
    """A platform that opens its loop chain clocked."""

    def open_chain(self, chain: Chain, *, clock: Clock | None = None, **more: Any) -> Journal:
        """Open one chain for writing, as the platform does."""
        journal = Platform.open_chain(self, chain, clock=clock, **more)
        if chain is Chain.LOOP:
            journal.__class__ = ClockedJournal  # the chain the platform opened, its append timed
        return journal


def clocked(platform: Platform) -> ClockedPlatform:
    """Give the same platform with a clocked chain."""
    held = {field.name: getattr(platform, field.name) for field in fields(platform)}
    return ClockedPlatform(**held)
