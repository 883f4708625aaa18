"""A chain, its anchors or a compacted segment damaged anywhere: sound frames, then one stop."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import (
    Anchor,
    BrokenFrame,
    Frame,
    append_anchor,
    compact_chain,
    read_anchors,
    read_frames,
    verify_chain,
)
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.journal.chains import CHAIN, write_chain

FRAMES = 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    journal = write_chain(folder, FRAMES, segment_bytes=2000)
    append_anchor(folder / "anchors", journal.anchor())
    return folder


def damaged(written: Path, folder: Path, path: Path, data: st.DataObject) -> Path:
    """Copy a chain and change some bytes of one file."""
    shutil.copytree(written, folder, dirs_exist_ok=True)
    target = folder / path.relative_to(written)
    body = target.read_bytes()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 64)))
    changed = body[:start] + data.draw(st.binary(max_size=64)) + body[end:]
    target.write_bytes(changed)
    return target


@given(data=st.data())
def test_a_damaged_chain_gives_its_sound_frames_and_stops(
    written: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    sound = list(read_frames(written, CHAIN))
    path = data.draw(st.sampled_from(sorted((written / CHAIN).glob("*.igj"))))
    target = damaged(written, folder, path, data)
    is_same = target.read_bytes() == path.read_bytes()
    found: list[Frame] = []
    with suppress(BrokenFrame):
        found.extend(read_frames(folder, CHAIN))
    assert [frame.payload for frame in found] == [frame.payload for frame in sound[: len(found)]]
    report = verify_chain(folder, CHAIN, anchors=read_anchors(folder / "anchors", CHAIN))
    assert report.ok == is_same


@given(data=st.data())
def test_damaged_anchors_are_read_or_refused_and_never_pass_another_chain(
    written: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    damaged(written, folder, written / "anchors" / f"{CHAIN}.jsonl", data)
    found: list[Anchor] = []
    with suppress(SystemHalt):
        found.extend(read_anchors(folder / "anchors", CHAIN))
    assert all(anchor.chain == CHAIN for anchor in found)


@given(data=st.data())
def test_a_damaged_compacted_segment_gives_no_frame_that_was_not_written(
    written: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = tmp_path_factory.mktemp("compacted")
    shutil.copytree(written, base, dirs_exist_ok=True)
    anchors = read_anchors(base / "anchors", CHAIN)
    done = compact_chain(base, CHAIN, key=None, anchors=anchors)
    folder = tmp_path_factory.mktemp("damaged")
    target = damaged(base, folder, done[0].path, data)
    is_same = target.read_bytes() == done[0].path.read_bytes()
    report = verify_chain(folder, CHAIN, anchors=anchors)
    assert report.ok == is_same
    assert is_same or report.frames == 0
