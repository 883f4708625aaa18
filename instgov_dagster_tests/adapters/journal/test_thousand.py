"""A journal of a thousand frames: whatever is done to it is found, and where it was done."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import (
    Anchor,
    ChainReport,
    Frame,
    read_frames,
    verify_chain,
)
from instgov_dagster.adapters.journal.frames import LENGTH_BYTES, chain_digest, encode_payload
from instgov_dagster_tests.adapters.journal.chains import (
    CHAIN,
    START,
    rows,
    segment,
    write_chain,
)

FRAMES = 1000


class Thousand:
    """A chain of a thousand frames in one segment, its anchor, and a place to change it in."""

    def __init__(self, folder: Path) -> None:
        self.anchor: Anchor = write_chain(folder, FRAMES).anchor()
        self.frames: list[Frame] = list(read_frames(folder, CHAIN))
        self.path = segment(folder)
        self.folder = folder
        self.body = self.path.read_bytes()

    def verify(self, body: bytes | bytearray) -> ChainReport:
        self.path.write_bytes(body)
        try:
            return verify_chain(self.folder, CHAIN, anchors=[self.anchor])
        finally:
            self.path.write_bytes(self.body)

    def part(self, frame: Frame) -> bytes:
        return self.body[frame.offset : frame.end]

    def holder(self, place: int) -> Frame:
        return next(f for f in self.frames if f.offset <= place < f.end)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Thousand:
    return Thousand(tmp_path_factory.mktemp("thousand"))


def test_a_thousand_frames_are_verified_in_less_than_a_second_of_work(thousand: Thousand) -> None:
    begun = time.process_time()
    report = thousand.verify(thousand.body)
    assert (report.ok, report.frames, report.anchored) == (True, FRAMES, FRAMES)
    assert time.process_time() - begun < 1.0


@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.roadmap("0.6")
def test_any_one_bit_flipped_in_a_thousand_frames_is_found_and_located(
    thousand: Thousand, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(thousand.body) - 1))
    body = bytearray(thousand.body)
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    report = thousand.verify(body)
    hit = thousand.holder(place)
    assert (report.ok, report.first_bad, report.frames) == (False, hit.name, hit.sequence - 1)


@given(st.integers(0, FRAMES - 1))
@settings(max_examples=15, deadline=None)
def test_a_frame_taken_out_of_a_thousand_is_missed_where_it_stood(
    thousand: Thousand, at: int
) -> None:
    gone = thousand.frames[at]
    report = thousand.verify(thousand.body[: gone.offset] + thousand.body[gone.end :])
    assert (report.ok, report.first_bad) == (False, gone.name)


@given(st.integers(0, FRAMES - 2))
@settings(max_examples=15, deadline=None)
def test_two_frames_that_changed_places_are_found_at_the_first_of_them(
    thousand: Thousand, at: int
) -> None:
    first, second = thousand.frames[at], thousand.frames[at + 1]
    swapped = thousand.part(second) + thousand.part(first)
    body = thousand.body[: first.offset] + swapped + thousand.body[second.end :]
    report = thousand.verify(body)
    assert (report.ok, report.first_bad) == (False, first.name)


def test_a_frame_appended_by_somebody_without_the_writer_is_found(thousand: Thousand) -> None:
    again = thousand.verify(thousand.body + thousand.part(thousand.frames[-1]))
    assert (again.ok, again.first_bad) == (False, f"loop/000001.igj#{FRAMES + 1}")
    junk = thousand.verify(thousand.body + b"\0" * 41)
    assert (junk.ok, junk.torn_bytes) == (False, 41)


@pytest.mark.roadmap("0.6")
def test_a_whole_frame_forged_onto_the_end_is_found_by_whoever_holds_the_key(
    tmp_path: Path,
) -> None:
    key = b"a key of thirty-two bytes, no less"
    journal = write_chain(tmp_path, 3, key=key)
    payload = encode_payload(rows(2), kind="decisions", sequence=4, ts=START, meta={})
    digest = chain_digest(bytes.fromhex(journal.head), payload, None)
    with segment(tmp_path).open("ab") as stream:
        stream.write(len(payload).to_bytes(LENGTH_BYTES, "big") + digest + payload)
    report = verify_chain(tmp_path, CHAIN, key=key)
    assert (report.ok, report.first_bad, report.frames) == (False, "loop/000001.igj#4", 3)


@given(st.integers(1, FRAMES))
@settings(max_examples=15, deadline=None)
def test_a_tail_cut_off_a_thousand_frames_is_missed_through_the_anchor(
    thousand: Thousand, count: int
) -> None:
    report = thousand.verify(thousand.body[: thousand.frames[FRAMES - count].offset])
    assert not report.ok
    assert report.first_bad == thousand.frames[FRAMES - count].name
    assert report.reason == f"the chain ends at #{FRAMES - count} but {FRAMES} frames were anchored"


@pytest.mark.nightly
@pytest.mark.roadmap("0.6")
def test_a_flip_of_any_byte_of_the_thousand_frames_breaks_its_frame(thousand: Thousand) -> None:
    # All the bytes: a changed payload or digest must miss the digest, a changed length the frame.
    for frame in thousand.frames:
        part = bytearray(thousand.part(frame))
        for place in range(LENGTH_BYTES, len(part)):
            part[place] ^= 1
            payload, digest = bytes(part[40:]), bytes(part[LENGTH_BYTES:40])
            assert chain_digest(frame.previous, payload, None) != digest
            part[place] ^= 1
    for frame in thousand.frames[::50]:
        for place in range(LENGTH_BYTES):
            for bit in range(8):
                body = bytearray(thousand.body)
                body[frame.offset + place] ^= 1 << bit
                assert thousand.verify(body).first_bad == frame.name
