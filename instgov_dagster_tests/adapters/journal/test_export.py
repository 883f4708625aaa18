"""The exported bundle: a stranger verifies it with a script that knows nothing of this program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instgov_dagster.adapters.journal import (
    append_anchor,
    compact_chain,
    export_bundle,
    read_anchors,
    read_frames,
    standalone,
)
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.adapters.journal.chains import CHAIN, open_chain, rows, segment

KEY = b"a key of thirty-two bytes, no less"
CHAINS = ("loop", "night", "operator")


def write(folder: Path, *, key: bytes | None = None) -> Path:
    """Write a chain of two segments, an anchor in each, and leave the other chains unwritten."""
    with open_chain(folder / "journal", segment_bytes=4000, key=key) as journal:
        for number in range(10):
            journal.append("decisions", rows(2, number), {"cycle_id": f"c-{number}"})
            if number in (3, 9):
                append_anchor(folder / "anchors", journal.anchor())
    return folder


def export(folder: Path, *, key: bytes | None = None) -> str:
    out = folder / "bundle"
    done = export_bundle(out, folder / "journal", folder / "anchors", CHAINS, key=key)
    assert {row.path for row in done.files} == {
        p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()
    }
    return done.sha256


def run(bundle: Path, *words: str, key: bytes | None = None) -> tuple[int, str]:
    """Run the bundle's script as a stranger would: isolated, from elsewhere."""
    environment = {k: v for k, v in os.environ.items() if k != "INSTGOV_JOURNAL_KEY"}
    if key is not None:
        environment["INSTGOV_JOURNAL_KEY"] = key.decode()
    done = subprocess.run(
        [sys.executable, "-I", str(bundle / "verify.py"), *words],
        capture_output=True, text=True, check=False, cwd="/", env=environment,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("exported"))
    export(folder)
    return folder / "bundle"


@pytest.mark.roadmap("0.6")
def test_a_stranger_verifies_the_bundle_without_this_program(tmp_path: Path) -> None:
    seal = export(write(tmp_path))
    code, told = run(tmp_path / "bundle", "--sha256", seal)
    assert code == 0, told
    frames = list(read_frames(tmp_path / "journal", CHAIN))
    assert f"loop: 10 frames, 2 anchors, head {frames[-1].head.hex()}" in told
    assert frames[-1].segment > 1
    source = (tmp_path / "bundle" / "verify.py").read_text()
    imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not any("instgov" in line for line in imports)
    code, told = run(tmp_path / "bundle", "--sha256", "0" * 64)
    assert (code, "not to what you were told" in told) == (1, True)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.roadmap("0.6")
def test_any_byte_flipped_in_the_bundle_makes_it_fail(exported: Path, data: st.DataObject) -> None:
    files = sorted(p for p in exported.rglob("*") if p.is_file() and p.stat().st_size)
    path = data.draw(st.sampled_from(files))
    original = path.read_bytes()
    body = bytearray(original)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(body)
    try:
        with pytest.raises((standalone.Broken, ValueError, KeyError, TypeError, AttributeError)):
            standalone.verify(exported, None, None)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize(
    "name", ["journal/loop/000001.igj", "anchors/loop.jsonl", "manifest.json", "README.md"]
)
def test_the_script_itself_says_what_is_broken(exported: Path, tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported, bundle)
    body = bytearray((bundle / name).read_bytes())
    body[len(body) // 2] ^= 1
    (bundle / name).write_bytes(body)
    code, told = run(bundle)
    assert code == 1
    assert told.startswith("BROKEN: ")
    assert "Traceback" not in told


def _reseal(bundle: Path, name: str, body: bytes) -> None:
    # What a forger without the anchors' witness would do: change a file and every hash of it.
    import hashlib
    import json

    (bundle / name).write_bytes(body)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"][name] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    told = json.dumps(manifest, sort_keys=True).encode()
    (bundle / "manifest.json").write_bytes(told)
    (bundle / "manifest.sha256").write_text(hashlib.sha256(told).hexdigest() + "\n")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("flip", "the digest does not match"),
        ("cut", "has 9 frames, not 10"),
        ("repeat", "the digest does not match"),
        ("tear", "bytes outside a frame"),
    ],
)
def test_a_bundle_sealed_anew_still_has_to_hold_its_chain(
    exported: Path, tmp_path: Path, change: str, fault: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported, bundle)
    last = max((bundle / "journal" / "loop").glob("*.igj"))
    body, ends, at = last.read_bytes(), [0], 0
    while at < len(body):
        at += 40 + int.from_bytes(body[at : at + 8], "big")
        ends.append(at)
    flipped = bytearray(body)
    flipped[50] ^= 1
    changed = {
        "flip": bytes(flipped),
        "cut": body[: ends[-2]],
        "repeat": body + body[ends[-2] :],
        "tear": body + b"xx",
    }[change]
    _reseal(bundle, last.relative_to(bundle).as_posix(), changed)
    code, told = run(bundle)
    assert (code, fault in told) == (1, True), told


def test_without_the_key_the_script_says_what_it_did_not_check(tmp_path: Path) -> None:
    export(write(tmp_path, key=KEY), key=KEY)
    bundle = tmp_path / "bundle"
    code, told = run(bundle)
    assert (code, "links NOT CHECKED: that needs the key" in told) == (2, True)
    assert run(bundle, key=KEY)[0] == 0
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert run(bundle, "--key-file", str(tmp_path / "key"))[0] == 0
    code, told = run(bundle, key=b"another key of no less than 32 b")
    assert (code, "the digest does not match" in told) == (1, True)
    assert KEY not in b"".join(p.read_bytes() for p in bundle.rglob("*") if p.is_file())


def test_a_compacted_chain_is_exported_as_the_frames_it_holds(tmp_path: Path) -> None:
    folder = write(tmp_path)
    before = segment(folder / "journal").read_bytes()
    anchors = read_anchors(folder / "anchors", CHAIN)
    assert compact_chain(folder / "journal", CHAIN, key=None, anchors=anchors)
    export(folder)
    assert (folder / "bundle" / "journal" / "loop" / "000001.igj").read_bytes() == before
    assert run(folder / "bundle")[0] == 0


def test_a_chain_that_does_not_verify_is_not_exported(tmp_path: Path) -> None:
    folder = write(tmp_path)
    whole = segment(folder / "journal", 2).read_bytes()
    segment(folder / "journal", 2).write_bytes(whole[:-60])
    with pytest.raises(SystemHalt) as halt:
        export(folder)
    assert halt.value.reason_code is ReasonCode.ANCHOR_MISMATCH
    segment(folder / "journal", 2).write_bytes(whole[:60] + b"?" + whole[61:])
    with pytest.raises(SystemHalt) as halt:
        export(folder)
    assert halt.value.reason_code is ReasonCode.CHAIN_BROKEN
    assert sorted(p.name for p in folder.iterdir()) == ["anchors", "journal"]


def test_a_bundle_is_never_written_over_something_else(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "bundle").mkdir()
    (folder / "bundle" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="--out must be a new or an empty folder"):
        export(folder)
    (folder / "bundle" / "mine.txt").unlink()
    export(folder)
