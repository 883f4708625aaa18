"""Verifying a chain: every change is found and named; anchors notice what a chain cannot."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import (
    append_anchor,
    list_chains,
    read_anchors,
    read_anchors_from,
    read_frames,
    verify_chain,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.journal.chains import (
    CHAIN,
    bytes_read,
    open_chain,
    rows,
    segment,
    write_chain,
)

KEY = b"a key of thirty-two bytes, no less"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames in three segments."""
    folder = tmp_path_factory.mktemp("journal")
    write_chain(folder, 6, segment_bytes=1400)
    return folder


def _copy(source: Path, target: Path, number: int, body: bytes) -> Path:
    (target / CHAIN).mkdir(parents=True, exist_ok=True)
    for path in (source / CHAIN).glob("*.igj"):
        (target / CHAIN / path.name).write_bytes(path.read_bytes())
    segment(target, number).write_bytes(body)
    return target


@given(data=st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.roadmap("0.6")
def test_any_single_byte_changed_is_found_and_the_frame_is_named(
    chain: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    frames = list(read_frames(chain, CHAIN))
    number = data.draw(st.integers(1, frames[-1].segment))
    body = bytearray(segment(chain, number).read_bytes())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    folder = _copy(chain, tmp_path_factory.mktemp("flipped"), number, bytes(body))
    report = verify_chain(folder, CHAIN)
    hit = next(f for f in frames if f.segment == number and f.offset <= place < f.end)
    assert not report.ok
    assert report.first_bad == hit.name
    assert report.frames == hit.sequence - 1
    assert report.reason


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_chain_cut_at_any_byte_but_the_end_of_a_frame_is_broken_there(
    chain: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    frames = [f for f in read_frames(chain, CHAIN) if f.segment == 3]
    body = segment(chain, 3).read_bytes()
    cut = data.draw(st.integers(0, len(body) - 1))
    folder = _copy(chain, tmp_path_factory.mktemp("cut"), 3, body[:cut])
    report = verify_chain(folder, CHAIN)
    is_between_frames = cut == 0 or cut in {f.end for f in frames}
    assert report.ok == is_between_frames
    anchored = verify_chain(folder, CHAIN, anchors=[_anchor(chain)])
    assert not anchored.ok


def _anchor(folder: Path):  # noqa: ANN202  # an Anchor
    with open_chain(folder) as journal:
        return journal.anchor()


def test_a_sound_chain_reports_its_frames_its_head_and_what_is_anchored(chain: Path) -> None:
    report = verify_chain(chain, CHAIN, anchors=[_anchor(chain)])
    last = list(read_frames(chain, CHAIN))[-1]
    assert report.ok
    assert (report.frames, report.head, report.anchored) == (6, last.head.hex(), 6)
    assert (report.first_bad, report.reason, report.torn_bytes) == (None, None, 0)


@pytest.mark.roadmap("0.6")
def test_deleting_the_last_frame_is_noticed_through_the_anchor(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path, 3).anchor()
    last = list(read_frames(tmp_path, CHAIN))[-1]
    os.truncate(segment(tmp_path), last.offset)
    assert verify_chain(tmp_path, CHAIN).ok
    report = verify_chain(tmp_path, CHAIN, anchors=[anchor])
    assert (report.ok, report.first_bad) == (False, "loop/000001.igj#3")
    assert report.reason == "the chain ends at #2 but 3 frames were anchored"


def test_a_chain_written_anew_is_noticed_through_the_anchor(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path / "old", 2).anchor()
    with open_chain(tmp_path / "new") as journal:
        journal.append("decisions", rows(2, 0), {"cycle": 0})
        journal.append("decisions", rows(2, 7), {"cycle": 1})
    report = verify_chain(tmp_path / "new", CHAIN, anchors=[anchor])
    assert (report.ok, report.first_bad) == (False, "loop/000001.igj#2")


def test_without_the_key_nobody_can_write_a_chain_that_the_key_verifies(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    assert verify_chain(tmp_path, CHAIN).ok
    assert verify_chain(tmp_path, CHAIN, key=KEY).first_bad == "loop/000001.igj#1"


def test_a_frame_repeated_is_out_of_sequence(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    body = segment(tmp_path).read_bytes()
    second = list(read_frames(tmp_path, CHAIN))[1]
    segment(tmp_path).write_bytes(body + body[second.offset :])
    assert verify_chain(tmp_path, CHAIN).first_bad == "loop/000001.igj#3"


def test_a_missing_segment_is_named(chain: Path, tmp_path: Path) -> None:
    folder = _copy(chain, tmp_path, 1, segment(chain, 1).read_bytes())
    segment(folder, 2).unlink()
    report = verify_chain(folder, CHAIN)
    assert (report.ok, report.first_bad) == (False, "loop/000002.igj")


def test_an_anchor_taken_in_a_fresh_segment_still_holds(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    (tmp_path / CHAIN / "000002.igj").touch()  # a writer killed right after it rotated
    anchor = _anchor(tmp_path)
    assert (anchor.segment, anchor.bytes, anchor.sequence) == (2, 0, 2)
    assert verify_chain(tmp_path, CHAIN, anchors=[anchor]).ok
    assert not verify_chain(tmp_path, CHAIN, anchors=[replace(anchor, bytes=1)]).ok


def test_a_chain_never_written_is_empty_and_sound(tmp_path: Path) -> None:
    report = verify_chain(tmp_path, "night")
    assert (report.ok, report.frames) == (True, 0)
    assert list_chains(tmp_path) == ()


def test_chains_are_listed_by_name(tmp_path: Path) -> None:
    write_chain(tmp_path, 1)
    assert list_chains(tmp_path) == (CHAIN,)


def test_anchors_are_read_in_the_order_they_were_written(tmp_path: Path) -> None:
    journal = write_chain(tmp_path / "journal", 2)
    first = journal.anchor()
    second = replace(first, sequence=3, frames=3)
    for anchor in (first, second):
        append_anchor(tmp_path, anchor)
    assert read_anchors(tmp_path, CHAIN) == (first, second)
    assert read_anchors(tmp_path, "night") == ()


def test_the_unfinished_line_of_a_killed_writer_is_no_anchor_and_is_cut(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path / "journal", 2).anchor()
    append_anchor(tmp_path, anchor)
    with (tmp_path / "loop.jsonl").open("a") as stream:
        stream.write('{"chain":"lo')
    assert read_anchors(tmp_path, CHAIN) == (anchor,)
    append_anchor(tmp_path, replace(anchor, sequence=3))
    assert [a.sequence for a in read_anchors(tmp_path, CHAIN)] == [2, 3]


def test_a_line_torn_over_many_blocks_is_cut_and_nothing_before_it_is_read(
    tmp_path: Path,
) -> None:
    anchor = write_chain(tmp_path / "journal", 2).anchor()
    for _ in range(2):
        append_anchor(tmp_path, anchor)
    path = tmp_path / "loop.jsonl"
    path.write_bytes(path.read_bytes() * 10_000)
    size = path.stat().st_size
    with path.open("ab") as stream:
        stream.write(b"x" * 9000)
    before = bytes_read()
    append_anchor(tmp_path, replace(anchor, sequence=3))
    assert bytes_read() - before < 20_000 < size / 100
    assert path.stat().st_size == size + len(path.read_bytes().splitlines()[0]) + 1
    torn = tmp_path / "alone" / "loop.jsonl"
    torn.parent.mkdir()
    torn.write_bytes(b"x" * 9000)
    append_anchor(torn.parent, anchor)
    assert read_anchors(torn.parent, CHAIN) == (anchor,)


def test_a_reader_goes_on_after_the_anchors_it_has_read(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path / "journal", 2).anchor()
    assert read_anchors_from(tmp_path, CHAIN, 0) == ((), 0)
    append_anchor(tmp_path, anchor)
    found, at = read_anchors_from(tmp_path, CHAIN, 0)
    assert found == (anchor,)
    with (tmp_path / "loop.jsonl").open("a") as stream:
        stream.write('{"chain":"lo')
    assert read_anchors_from(tmp_path, CHAIN, at) == ((), at)
    append_anchor(tmp_path, replace(anchor, sequence=3))
    assert [a.sequence for a in read_anchors_from(tmp_path, CHAIN, at)[0]] == [3]
    with pytest.raises(SystemHalt, match="ANCHOR_MISMATCH"):
        read_anchors_from(tmp_path, CHAIN, 10_000)


@pytest.mark.parametrize("line", ["no json", "[]", '{"chain": "loop"}'])
def test_a_finished_line_that_is_no_anchor_stops_the_system(tmp_path: Path, line: str) -> None:
    (tmp_path / "loop.jsonl").write_text(line + "\n")
    with pytest.raises(SystemHalt) as stopped:
        read_anchors(tmp_path, CHAIN)
    assert stopped.value.reason_code is ReasonCode.ANCHOR_MISMATCH


def test_an_anchor_of_another_chain_stops_the_system(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path / "journal", 1).anchor()
    append_anchor(tmp_path, replace(anchor, chain="night"))
    (tmp_path / "night.jsonl").rename(tmp_path / "loop.jsonl")
    with pytest.raises(SystemHalt, match="speaks of chain 'night'"):
        read_anchors(tmp_path, CHAIN)


def test_an_anchor_that_cannot_be_written_stops_the_system(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path / "journal", 1).anchor()
    (tmp_path / "loop.jsonl").mkdir()
    with pytest.raises(SystemHalt) as stopped:
        append_anchor(tmp_path, anchor)
    assert stopped.value.reason_code is ReasonCode.AUDIT_WRITE_FAILED
