"""The writer of a chain: what it acknowledges, what it refuses, what it repairs."""

import hashlib
import hmac
import os
import resource
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from instgov_dagster.adapters.journal import (
    BrokenFrame,
    append_anchor,
    bundle_tables,
    chain_position,
    compact_chain,
    is_bundle,
    key_from,
    read_anchors,
    read_frames,
    unbundle,
    verify_chain,
)
from instgov_dagster.adapters.journal.frames import HEADER_BYTES, genesis
from instgov_dagster.adapters.journal.segments import list_segments
from instgov_dagster.vocabulary.errors import InputError, LeaseHeld, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.journal.chains import (
    CHAIN,
    START,
    open_chain,
    rows,
    segment,
    write_chain,
)

KEY = b"a key of thirty-two bytes, no less"
WRITER = """
import sys
from pathlib import Path
from instgov_dagster_tests.adapters.journal.chains import open_chain, rows
with open_chain(Path(sys.argv[1])) as journal:
    number = journal.sequence
    while True:
        receipt = journal.append("decisions", rows(40, number), {"cycle": number})
        number = receipt.sequence
        print(number, receipt.frame_sha256, flush=True)
"""
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster_tests.adapters.journal.chains import open_chain, rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_chain(Path(sys.argv[1])) as journal:
    journal.append("decisions", rows(2), {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        while True:
            journal.append("decisions", rows(2), {})
    except SystemHalt as stopped:
        print(stopped.reason_code, journal.sequence)
    try:
        journal.append("decisions", rows(1), {})
    except SystemHalt as stopped:
        print(stopped)
"""


@pytest.mark.roadmap("0.6")
def test_the_first_frame_is_its_length_its_chained_digest_and_its_payload(tmp_path: Path) -> None:
    write_chain(tmp_path, 1)
    body = segment(tmp_path).read_bytes()
    payload = body[HEADER_BYTES:]
    start = hashlib.sha256(b"instgov journal loop").digest()
    assert genesis(CHAIN) == start
    assert int.from_bytes(body[:8], "big") == len(payload)
    assert body[8:40] == hashlib.sha256(start + payload).digest()
    assert pa.ipc.open_stream(payload).read_all().num_rows == 2


def test_with_a_key_the_digest_is_the_hmac_of_the_digest_before_and_the_payload(
    tmp_path: Path,
) -> None:
    write_chain(tmp_path, 1, key=KEY)
    body = segment(tmp_path).read_bytes()
    assert body[8:40] == hmac.new(KEY, genesis(CHAIN) + body[40:], hashlib.sha256).digest()


def test_what_was_appended_is_read_back_in_order_with_its_meta(tmp_path: Path) -> None:
    write_chain(tmp_path, 3)
    frames = list(read_frames(tmp_path, CHAIN))
    assert [f.sequence for f in frames] == [1, 2, 3]
    assert [f.meta for f in frames] == [{"cycle": 0}, {"cycle": 1}, {"cycle": 2}]
    assert frames[2].table()["symbol"].to_pylist() == ["S2", "S3"]
    assert (frames[0].kind, frames[0].rows, frames[0].ts) == ("decisions", 2, START)
    assert frames[1].previous == frames[0].head
    assert frames[2].name == "loop/000001.igj#3"


def test_the_receipt_says_where_the_frame_stands(tmp_path: Path) -> None:
    with open_chain(tmp_path) as journal:
        first = journal.append("decisions", rows(2), {})
        second = journal.append("decisions", rows(0), {})
        assert journal.head == second.frame_sha256
    frames = list(read_frames(tmp_path, CHAIN))
    assert [(f.offset, f.head.hex(), f.rows) for f in frames] == [
        (r.offset, r.frame_sha256, r.rows) for r in (first, second)
    ]


def test_one_chain_has_one_writer(tmp_path: Path) -> None:
    with open_chain(tmp_path), pytest.raises(LeaseHeld, match=f"pid {os.getpid()}"):
        open_chain(tmp_path)


def test_a_chain_reopened_goes_on_where_it_ended(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    write_chain(tmp_path, 2)
    assert verify_chain(tmp_path, CHAIN).frames == 4


def test_a_full_segment_is_followed_by_one_that_is_chained_to_it(tmp_path: Path) -> None:
    write_chain(tmp_path, 5, segment_bytes=1000)
    frames = list(read_frames(tmp_path, CHAIN))
    assert len({f.segment for f in frames}) > 1
    assert all(b.previous == a.head for a, b in pairwise(frames))
    write_chain(tmp_path, 1, segment_bytes=1000)
    assert verify_chain(tmp_path, CHAIN).frames == 6


def test_the_quick_look_at_a_chain_finds_the_head_that_the_proof_finds(tmp_path: Path) -> None:
    write_chain(tmp_path, 5, segment_bytes=1000)
    position = chain_position(tmp_path, CHAIN)
    assert (position.sequence, position.head.hex()) == (5, verify_chain(tmp_path, CHAIN).head)
    assert chain_position(tmp_path, "never written").sequence == 0


@pytest.mark.parametrize("left", [1, 8, 39, 40, 100, -1])
def test_a_torn_tail_is_reported_kept_aside_and_cut(tmp_path: Path, left: int) -> None:
    write_chain(tmp_path, 3)
    path = segment(tmp_path)
    last = list(read_frames(tmp_path, CHAIN))[-1]
    torn = path.read_bytes()[last.offset :][: left if left > 0 else last.end - last.offset - 1]
    path.write_bytes(path.read_bytes()[: last.offset] + torn)
    report = verify_chain(tmp_path, CHAIN)
    assert (report.ok, report.torn_bytes, report.first_bad) == (False, len(torn), last.name)
    with open_chain(tmp_path) as journal:
        assert journal.torn is not None
        assert (journal.torn.bytes, journal.torn.offset) == (len(torn), last.offset)
        assert journal.torn.kept_in.read_bytes() == torn
        assert journal.append("decisions", rows(1), {}).sequence == 3
    assert verify_chain(tmp_path, CHAIN).ok


def test_zeros_that_a_power_cut_left_are_a_torn_tail(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    with segment(tmp_path).open("ab") as stream:
        stream.write(bytes(500))
    with open_chain(tmp_path) as journal:
        assert journal.torn is not None
        assert journal.sequence == 2


def test_a_length_that_was_made_longer_is_no_tear_and_nothing_is_cut(tmp_path: Path) -> None:
    write_chain(tmp_path, 4)
    path = segment(tmp_path)
    body = bytearray(path.read_bytes())
    second = list(read_frames(tmp_path, CHAIN))[1]
    body[second.offset + 4] ^= 0x01  # sixteen million bytes longer: beyond the end of the file
    path.write_bytes(body)
    with pytest.raises(BrokenFrame, match=r"loop/000001\.igj#2: the length field was altered"):
        open_chain(tmp_path)
    assert path.read_bytes() == body


def test_a_chain_that_does_not_verify_is_not_opened(tmp_path: Path) -> None:
    write_chain(tmp_path, 2)
    body = bytearray(segment(tmp_path).read_bytes())
    body[-20] ^= 0xFF
    segment(tmp_path).write_bytes(body)
    with pytest.raises(SystemHalt) as stopped:
        open_chain(tmp_path)
    assert stopped.value.reason_code is ReasonCode.CHAIN_BROKEN


def test_a_chain_shorter_than_its_anchor_is_not_opened(tmp_path: Path) -> None:
    anchor = write_chain(tmp_path, 3).anchor()
    last = list(read_frames(tmp_path, CHAIN))[-1]
    os.truncate(segment(tmp_path), last.offset)
    with pytest.raises(SystemHalt, match=r"ANCHOR_MISMATCH.*#3 was anchored; the chain ends at #2"):
        open_chain(tmp_path, anchors=[anchor])


def test_a_segment_that_somebody_else_changed_is_not_written_any_more(tmp_path: Path) -> None:
    with open_chain(tmp_path) as journal:
        journal.append("decisions", rows(1), {})
        with segment(tmp_path).open("ab") as stream:
            stream.write(b"x")
        with pytest.raises(BrokenFrame, match="changed or removed by somebody else"):
            journal.append("decisions", rows(1), {})
        with pytest.raises(SystemHalt, match="closed"):
            journal.append("decisions", rows(1), {})


def test_a_segment_removed_under_the_writer_stops_the_system(tmp_path: Path) -> None:
    with open_chain(tmp_path) as journal:
        journal.append("decisions", rows(1), {})
        segment(tmp_path).unlink()
        with pytest.raises(BrokenFrame, match="removed"):
            journal.append("decisions", rows(1), {})


@pytest.mark.parametrize("meta", [{"mu": float("nan")}, {"mu": object()}])
@pytest.mark.roadmap("0.6")
def test_what_cannot_be_written_stops_the_system_and_leaves_no_trace(
    tmp_path: Path, meta: dict[str, object]
) -> None:
    write_chain(tmp_path, 1)
    size = segment(tmp_path).stat().st_size
    with open_chain(tmp_path) as journal, pytest.raises(SystemHalt) as stopped:
        journal.append("decisions", rows(1), meta)
    assert stopped.value.reason_code is ReasonCode.AUDIT_WRITE_FAILED
    assert segment(tmp_path).stat().st_size == size


def test_a_folder_that_cannot_be_made_stops_the_system(tmp_path: Path) -> None:
    (tmp_path / CHAIN).write_text("a file where the folder should be")
    with pytest.raises(SystemHalt) as stopped:
        open_chain(tmp_path)
    assert stopped.value.reason_code is ReasonCode.AUDIT_WRITE_FAILED


@pytest.mark.roadmap("0.6")
def test_a_full_disk_stops_the_system_and_loses_no_frame_it_acknowledged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    code, acknowledged = first.split()
    assert code == ReasonCode.AUDIT_WRITE_FAILED
    assert "the journal loop is closed" in second
    report = verify_chain(tmp_path, CHAIN)
    assert (report.ok, report.frames, report.torn_bytes) == (True, int(acknowledged), 0)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) != (4096, 4096)


@pytest.mark.parametrize("acknowledged", [1, 7, 23])
@pytest.mark.roadmap("0.6")
def test_a_writer_killed_mid_append_loses_no_frame_it_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().split() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    told += [line.split() for line in process.communicate()[0].splitlines() if line.count(" ") == 1]
    heads = {number: head for number, head in told if len(head) == 64}
    with open_chain(tmp_path) as journal:
        assert journal.sequence >= max(int(number) for number in heads)
    frames = {str(f.sequence): f.head.hex() for f in read_frames(tmp_path, CHAIN)}
    assert heads.items() <= frames.items()
    assert verify_chain(tmp_path, CHAIN).ok


def test_a_key_too_short_to_protect_anything_is_refused() -> None:
    assert key_from({}) is None
    assert key_from({"INSTGOV_JOURNAL_KEY": "0123456789abcdef"}) == b"0123456789abcdef"
    with pytest.raises(InputError, match="at least 16 bytes, had 5"):
        key_from({"INSTGOV_JOURNAL_KEY": "short"})


def test_several_tables_go_through_one_frame_unchanged(tmp_path: Path) -> None:
    tables = {"governance_decisions": rows(3), "orders": rows(0)}
    with open_chain(tmp_path) as journal:
        journal.append("cycle", bundle_tables(tables), {})
    packed = next(iter(read_frames(tmp_path, CHAIN))).table()
    assert is_bundle(packed)
    assert {k: t.to_pylist() for k, t in unbundle(packed).items()} == {
        k: t.to_pylist() for k, t in tables.items()
    }
    assert not is_bundle(rows(1))
    with pytest.raises(ValueError, match="at least one table"):
        bundle_tables({})


def test_what_a_chain_writes_only_its_owner_reads(tmp_path: Path) -> None:
    journal = write_chain(tmp_path, 4, segment_bytes=2000)
    append_anchor(tmp_path / "anchors", journal.anchor())
    with segment(tmp_path, max(list_segments(tmp_path, CHAIN))).open("ab") as stream:
        stream.write(b"half a frame")
    open_chain(tmp_path).close()
    compact_chain(tmp_path, CHAIN, key=None, anchors=read_anchors(tmp_path / "anchors", CHAIN))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in written}
    assert {".igj", ".parquet", ".jsonl", ".bin"} <= kinds
    assert {oct(path.stat().st_mode & 0o777) for path in written} == {"0o600"}
