"""Compacted segments: the same bytes, smaller; nothing is removed before it can be had back."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import (
    Anchor,
    BrokenFrame,
    append_anchor,
    chain_position,
    compact,
    compact_chain,
    list_chains,
    read_anchors,
    read_frames,
    verify_chain,
)
from instgov_dagster.adapters.journal.segments import compact_path, segment_body
from instgov_dagster.vocabulary.errors import LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.journal.chains import CHAIN, open_chain, rows, segment

KEY = b"a key of thirty-two bytes, no less"
FRAMES, SEGMENT_BYTES = 40, 9000


def write(folder: Path, *, frames: int = FRAMES, key: bytes | None = None) -> Anchor:
    """Write some segments and anchor where the chain stands."""
    with open_chain(folder, segment_bytes=SEGMENT_BYTES, key=key) as journal:
        for number in range(frames):
            journal.append("decisions", rows(2, number), {"cycle_id": f"c-{number}"})
    append_anchor(folder / "anchors", journal.anchor())
    return journal.anchor()


def anchors(folder: Path) -> tuple[Anchor, ...]:
    return read_anchors(folder / "anchors", CHAIN)


def bodies(folder: Path) -> list[bytes]:
    return [segment_body(folder, CHAIN, n) for n in range(1, 10) if compact.segment_path(
        folder, CHAIN, n).exists() or compact_path(folder, CHAIN, n)]  # fmt: skip


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.roadmap("0.6")
def test_a_compacted_chain_gives_every_byte_back_and_verifies(
    tmp_path: Path, key: bytes | None
) -> None:
    anchor = write(tmp_path, key=key)
    before, frames = bodies(tmp_path), list(read_frames(tmp_path, CHAIN, key=key))
    done = compact_chain(tmp_path, CHAIN, key=key, anchors=[anchor])
    assert [row.segment for row in done] == list(range(1, frames[-1].segment))
    assert len(done) >= 2
    assert bodies(tmp_path) == before
    assert list(read_frames(tmp_path, CHAIN, key=key)) == frames
    assert verify_chain(tmp_path, CHAIN, key=key, anchors=[anchor]).ok
    assert sum(row.frames for row in done) == sum(f.segment < frames[-1].segment for f in frames)
    assert not any(segment(tmp_path, row.segment).exists() for row in done)
    assert compact_chain(tmp_path, CHAIN, key=key, anchors=[anchor]) == ()


def test_a_compacted_segment_answers_which_frame_a_cycle_has(tmp_path: Path) -> None:
    done = compact_chain(tmp_path, CHAIN, key=None, anchors=[write(tmp_path)])
    table = pq.read_table(done[0].path, columns=["cycle_id", "sequence", "kind", "rows", "offset"])
    frames = [f for f in read_frames(tmp_path, CHAIN) if f.segment == 1]
    assert table["cycle_id"].to_pylist() == [f.meta["cycle_id"] for f in frames]
    assert table["sequence"].to_pylist() == [f.sequence for f in frames]
    assert table["offset"].to_pylist() == [f.offset for f in frames]


def test_a_writer_goes_on_after_segments_that_are_compacted(tmp_path: Path) -> None:
    write(tmp_path)
    with open_chain(tmp_path, segment_bytes=1) as journal:  # the last segment is closed as well
        journal.append("decisions", rows(1), {})
    append_anchor(tmp_path / "anchors", journal.anchor())
    compact_chain(tmp_path, CHAIN, key=None, anchors=anchors(tmp_path))
    segment(tmp_path, chain_position(tmp_path, CHAIN).segment).unlink()
    # A chain whose last segment is lost, and all others compacted, is shorter than its anchors.
    assert not verify_chain(tmp_path, CHAIN, anchors=anchors(tmp_path)).ok
    with pytest.raises(SystemHalt, match="ANCHOR_MISMATCH"):
        open_chain(tmp_path, anchors=anchors(tmp_path))
    other = tmp_path / "other"
    write(other)
    compact_chain(other, CHAIN, key=None, anchors=anchors(other))
    with open_chain(other, segment_bytes=1, anchors=anchors(other)) as journal:
        assert journal.sequence == FRAMES
        journal.append("decisions", rows(1), {})
    assert verify_chain(other, CHAIN, anchors=anchors(other)).frames == FRAMES + 1
    assert list_chains(other) == (CHAIN,)


def test_only_closed_and_anchored_segments_are_compacted(tmp_path: Path) -> None:
    anchor = write(tmp_path)
    assert compact_chain(tmp_path, CHAIN, key=None, anchors=[]) == ()
    first = [f for f in read_frames(tmp_path, CHAIN) if f.segment == 1][-1]
    early = Anchor(
        chain=CHAIN, segment=1, sequence=first.sequence, frames=first.sequence,
        bytes=first.end, head=first.head.hex(),
    )  # fmt: skip
    done = compact_chain(tmp_path, CHAIN, key=None, anchors=[early])
    assert [row.segment for row in done] == [1]
    compact_chain(tmp_path, CHAIN, key=None, anchors=[anchor])
    assert segment(tmp_path, anchor.segment).exists()


def test_a_chain_that_is_not_what_was_anchored_is_left_alone(tmp_path: Path) -> None:
    anchor = write(tmp_path)
    other = tmp_path / "other"
    with open_chain(other, segment_bytes=SEGMENT_BYTES) as journal:
        for number in range(FRAMES):
            journal.append("decisions", rows(2, number + 1), {})
    wrong = Anchor(chain=CHAIN, segment=1, sequence=1, frames=1, bytes=1, head="0" * 64)
    with pytest.raises(SystemHalt) as halt:
        compact_chain(other, CHAIN, key=None, anchors=[wrong, anchor])
    assert halt.value.reason_code is ReasonCode.ANCHOR_MISMATCH
    assert segment(other, 1).exists()


def test_a_broken_segment_is_never_compacted(tmp_path: Path) -> None:
    anchor = write(tmp_path)
    body = bytearray(segment(tmp_path, 2).read_bytes())
    body[100] ^= 1
    segment(tmp_path, 2).write_bytes(bytes(body))
    with pytest.raises(BrokenFrame):
        compact_chain(tmp_path, CHAIN, key=None, anchors=[anchor])
    assert segment(tmp_path, 2).read_bytes() == bytes(body)


@pytest.fixture(scope="module")
def compacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compacted")
    compact_chain(folder, CHAIN, key=None, anchors=[write(folder)])
    return folder


@given(data=st.data())
@settings(max_examples=100, deadline=None)
@pytest.mark.roadmap("0.6")
def test_any_bit_flipped_in_a_compacted_segment_is_found_and_the_segment_named(
    compacted: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flipped") / "journal"
    shutil.copytree(compacted, folder)
    path = compact_path(folder, CHAIN, 2)
    assert path is not None
    body = bytearray(path.read_bytes())
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(body))
    report = verify_chain(folder, CHAIN, anchors=anchors(folder))
    assert not report.ok
    assert report.first_bad is not None
    assert report.first_bad.startswith("loop/000002.igj")


def test_a_compacted_segment_under_a_new_name_still_has_to_fit_the_chain(
    compacted: Path, tmp_path: Path
) -> None:
    import hashlib

    folder = tmp_path / "journal"
    shutil.copytree(compacted, folder)
    path = compact_path(folder, CHAIN, 2)
    assert path is not None
    table = pq.read_table(path)
    table = table.slice(0, 3).take([0, 2, 1])
    pq.write_table(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(path.with_name(f"000002.{digest}.parquet"))
    report = verify_chain(folder, CHAIN)
    assert (report.ok, report.reason) == (
        False, "the digest does not match the payload and the frame before",
    )  # fmt: skip


def test_a_compacted_form_that_is_damaged_beside_its_frames_is_made_again(tmp_path: Path) -> None:
    anchor = write(tmp_path)
    before = bodies(tmp_path)
    (tmp_path / CHAIN / f"000001.{'0' * 64}.parquet").write_bytes(b"damaged")
    assert verify_chain(tmp_path, CHAIN, anchors=[anchor]).ok
    compact_chain(tmp_path, CHAIN, key=None, anchors=[anchor])
    assert bodies(tmp_path) == before
    assert verify_chain(tmp_path, CHAIN, anchors=[anchor]).ok


def test_two_compactions_of_one_chain_do_not_meet(tmp_path: Path) -> None:
    from instgov_dagster.adapters.runtime import FileLock

    anchor = write(tmp_path)
    lock = FileLock(tmp_path / CHAIN / "compact.lock")
    lock.acquire()
    with pytest.raises(LeaseHeld):
        compact_chain(tmp_path, CHAIN, key=None, anchors=[anchor])
    lock.release()


def _killed_at(point: int, folder: Path, anchor: Anchor) -> int:
    # A child that ends, as a kill would, right before or right after its n-th durable step.
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    count = 0

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count == point:
                os._exit(9)
            result = real(*arguments, **named)
            count += 1
            if count == point:
                os._exit(9)
            return result

        return step

    os.fsync = dying(os.fsync)  # type: ignore[assignment]
    compact.fsync_directory = dying(compact.fsync_directory)  # type: ignore[assignment]
    Path.rename = dying(Path.rename)  # type: ignore[assignment,method-assign]
    Path.unlink = dying(Path.unlink)  # type: ignore[assignment,method-assign]
    try:
        compact_chain(folder, CHAIN, key=None, anchors=[anchor])
    finally:
        os._exit(0)


def test_a_compaction_killed_at_any_step_loses_no_byte_and_is_finished_by_the_next(
    tmp_path: Path,
) -> None:
    anchor = write(tmp_path / "original", frames=24)
    before = bodies(tmp_path / "original")
    assert len(before) >= 2
    point, code = 0, 9
    while code == 9:
        point += 1
        folder = tmp_path / f"killed-{point}"
        shutil.copytree(tmp_path / "original", folder)
        code = _killed_at(point, folder, anchor)
        assert bodies(folder) == before
        assert verify_chain(folder, CHAIN, anchors=[anchor]).ok
        compact_chain(folder, CHAIN, key=None, anchors=[anchor])
        assert bodies(folder) == before
        assert not segment(folder, 1).exists()
        assert verify_chain(folder, CHAIN, anchors=[anchor]).ok
        assert not list((folder / CHAIN).glob(".*.tmp"))
    assert point > 8
