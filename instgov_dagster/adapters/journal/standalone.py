"""Verify an exported audit bundle. Needs Python 3.11 and pyarrow, and nothing of its maker.

python verify.py [FOLDER] [--sha256 HEX] [--key-file FILE]

Exit 0: everything holds. Exit 1: something does not; the first fault is named. Exit 2: all that can
be checked without the key holds, and the links of the chains were not checked.
"""

import argparse
import hashlib
import hmac
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

LENGTH, DIGEST = 8, 32
SOUND, BROKEN, UNPROVEN = 0, 1, 2
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
FORMAT = "instgov-audit-bundle-1"


class Broken(Exception):  # noqa: N818  # the word an auditor reads
    """Something in the bundle is not what it says it is."""


def require(condition: object, fault: str) -> None:
    """Raise the fault unless the condition holds."""
    if not condition:
        raise Broken(fault)


def read_manifest(folder: Path, wanted: str | None) -> dict[str, Any]:
    """Read the manifest and hold it against its seal, and the seal against what was told."""
    body = (folder / MANIFEST).read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    require((folder / SEAL).read_bytes() == f"{digest}\n".encode(), f"{SEAL} is of another file")
    require(wanted in (None, digest), f"{MANIFEST} hashes to {digest}, not to what you were told")
    manifest: dict[str, Any] = json.loads(body)
    require(manifest["format"] == FORMAT, f"format must be {FORMAT}, was {manifest['format']}")
    return manifest


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Every file listed is there and hashes, and no other is."""
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    listed = {*manifest["files"], MANIFEST, SEAL}
    require(found == listed, f"missing or not listed: {sorted(found ^ listed)}")
    for name, facts in manifest["files"].items():
        body = (folder / name).read_bytes()
        require(len(body) == facts["bytes"], f"{name} has {len(body)} bytes")
        require(hashlib.sha256(body).hexdigest() == facts["sha256"], f"{name} does not hash")


def link(previous: bytes, payload: bytes, key: bytes | None) -> bytes:
    """Digest a payload onto the digest before it, with the key where the chain has one."""
    if key is None:
        return hashlib.sha256(previous + payload).digest()
    return hmac.new(key, previous + payload, hashlib.sha256).digest()


def frames(folder: Path, chain: str, segments: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Cut a chain's segments into frames: segment, end in it, digest, payload."""
    for segment in range(1, segments + 1):
        name = f"journal/{chain}/{segment:06d}.igj"
        body, at = (folder / name).read_bytes(), 0
        while at < len(body):
            length = int.from_bytes(body[at : at + LENGTH], "big")
            begin = at + LENGTH + DIGEST
            require(begin + length <= len(body), f"{name}: bytes outside a frame at {at}")
            yield segment, begin + length, body[at + LENGTH : begin], body[begin : begin + length]
            at = begin + length


def check_payload(payload: bytes, sequence: int, name: str) -> None:
    """Hold what a payload says of itself against where it stands and what it holds."""
    try:
        reader = pa.ipc.open_stream(pa.py_buffer(payload))
        header = {key.decode(): value.decode() for key, value in reader.schema.metadata.items()}
        rows = reader.read_all().num_rows
    except (OSError, ValueError, AttributeError) as error:
        raise Broken(f"{name} is no Arrow stream: {error}") from error
    require(int(header["sequence"]) == sequence, f"{name} calls itself #{header['sequence']}")
    require(int(header["rows"]) == rows, f"{name} says {header['rows']} rows and holds {rows}")
    json.loads(header["meta"])


def check_chain(
    folder: Path, chain: str, facts: dict[str, Any], key: bytes | None, *, is_linked: bool
) -> None:
    """Walk one chain from its first frame and hold it against the manifest and its anchors."""
    head = hashlib.sha256(f"instgov journal {chain}".encode()).digest()
    heads, ends = {0: head.hex()}, {0: (1, 0)}
    sequence = 0
    for segment, end, digest, payload in frames(folder, chain, facts["segments"]):
        sequence += 1
        name = f"{chain}/{segment:06d}.igj#{sequence}"
        if is_linked:
            fault = f"{name}: the digest does not match the payload and the frame before"
            require(link(head, payload, key) == digest, fault)
        check_payload(payload, sequence, name)
        head, heads[sequence], ends[sequence] = digest, digest.hex(), (segment, end)
    require(sequence == facts["frames"], f"{chain} has {sequence} frames, not {facts['frames']}")
    require(head.hex() == facts["head"], f"{chain} ends at another head than the manifest says")
    lines = (folder / f"anchors/{chain}.jsonl").read_text(encoding="utf-8").splitlines()
    require(len(lines) == facts["anchors"], f"{chain} has {len(lines)} anchors")
    for line in lines:
        check_anchor(json.loads(line), chain, heads, ends)


def check_anchor(
    anchor: dict[str, Any], chain: str, heads: dict[int, str], ends: dict[int, tuple[int, int]]
) -> None:
    """Hold the chain against an anchor: where it stood once it must have passed through."""
    at = anchor["sequence"]
    name = f"the anchor of {chain}#{at}"
    require(anchor["chain"] == chain and anchor["frames"] == at, f"{name} speaks of another chain")
    require(at in heads, f"{name} was set, and the chain ends at #{max(heads)}")
    require(heads[at] == anchor["head"], f"{name} names another frame")
    segment, end = ends[at]
    place = (anchor["segment"], anchor["bytes"])
    require(place in ((segment, end), (segment + 1, 0)), f"{name} stood at another place")


def verify(folder: Path, wanted: str | None, key: bytes | None) -> int:
    """Verify a whole bundle and tell the exit code."""
    manifest = read_manifest(folder, wanted)
    check_files(folder, manifest)
    is_keyed = manifest["keyed"]
    is_linked = key is not None or not is_keyed
    for chain, facts in sorted(manifest["chains"].items()):
        check_chain(folder, chain, facts, key if is_keyed else None, is_linked=is_linked)
        tell(f"{chain}: {facts['frames']} frames, {facts['anchors']} anchors, head {facts['head']}")
    if not is_linked:
        tell("files, sequences, counts and anchors hold; links NOT CHECKED: that needs the key")
        return UNPROVEN
    tell("sound: files, links, sequences, counts and anchors hold")
    return SOUND


def tell(line: str) -> None:
    """Write a line."""
    sys.stdout.write(line + "\n")


def read_key(path: Path | None) -> bytes | None:
    """Take the key from a file, else from the environment, else have none."""
    if path is not None:
        return path.read_bytes().strip()
    return os.environ.get("INSTGOV_JOURNAL_KEY", "").encode() or None


def main() -> int:
    """Read the arguments and verify; whatever goes wrong is a fault of the bundle."""
    parser = argparse.ArgumentParser(description="Verify an exported audit bundle.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--sha256", help="what the exporter said the manifest hashes to")
    parser.add_argument("--key-file", type=Path, help="file with the key of keyed chains")
    asked = parser.parse_args()
    try:
        return verify(asked.folder, asked.sha256, read_key(asked.key_file))
    except Broken as fault:
        tell(f"BROKEN: {fault}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        tell(f"BROKEN: {type(error).__name__}: {error}")
    return BROKEN


if __name__ == "__main__":
    sys.exit(main())
