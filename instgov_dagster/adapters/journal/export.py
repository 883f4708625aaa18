"""A bundle of the chains that a third party verifies without this program."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from instgov_dagster.adapters.journal import standalone
from instgov_dagster.adapters.journal.anchors import Anchor, read_anchors
from instgov_dagster.adapters.journal.frames import SEGMENT_SUFFIX, canonical_json
from instgov_dagster.adapters.journal.scan import Position, read_frames
from instgov_dagster.adapters.journal.segments import segment_body
from instgov_dagster.vocabulary.errors import InputError, SystemHalt
from instgov_dagster.vocabulary.reasons import ReasonCode

_README: Final = """\
# Audit bundle

What a governed trading system wrote before it acted, exported to be verified by anybody.

    python verify.py                     # Python 3.11 and pyarrow; nothing of the maker's
    python verify.py --sha256 HEX

Compare the value after `--sha256` with the one the exporter told you by another way: whoever could
change this folder could change `verify.py` and the seal in it as well.

- `journal/<chain>/NNNNNN.igj` are the segments of a chain, in order; nothing stands between frames.
  A frame is `length (8 bytes, big-endian) | digest (32) | payload (length bytes)`.
- `digest = sha256(previous digest || payload)`; before the first frame of a chain stands
  `sha256("instgov journal <chain>")`. Where `keyed` is true in the manifest, the digest is
  HMAC-SHA256 of the same bytes under a key, which is not in this bundle: without it `verify.py`
  proves files, sequences, counts and anchors, says that the links were not checked, and ends with
  exit code 2. Give it by `--key-file` or by the variable `INSTGOV_JOURNAL_KEY`.
- A payload is one Arrow IPC stream; its schema's metadata holds `kind`, `sequence` (1, 2, 3, ...
  without a gap through all segments), `rows`, `ts` and `meta` (JSON: inputs, configuration, code
  and snapshot hashes, state, risk). `pyarrow.ipc.open_stream(payload).read_all()` gives the rows;
  a frame of kind `cycle` holds the decisions, allocations, orders and quotes of one cycle as lists
  of structs.
- `anchors/<chain>.jsonl` are statements, written outside the chain as it grew, of where it stood:
  a tail that was cut away, or a chain written anew, does not pass through them.
- `manifest.json` lists every file with its sha256, and each chain's frames and head;
  `manifest.sha256` seals it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of a bundle."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A bundle on disk; ``sha256`` seals its manifest, and by it every file."""

    files: tuple[ExportedFile, ...]
    sha256: str


def export_bundle(
    out: Path, journal_dir: Path, anchors_dir: Path, chains: Sequence[str], *, key: bytes | None
) -> Export:
    """Write the chains, their anchors, a manifest, the format and a script that verifies them.

    A chain that is being written is exported up to a frame that is whole, and at least to its
    last anchor. Compacted segments are given back as the frames they hold.

    Parameters
    ----------
    out
        A folder that does not exist yet, or an empty one.
    key
        The key the chains were written with; it is never written into the bundle.

    Raises
    ------
    InputError
        If something stands where the bundle should.
    SystemHalt
        ``CHAIN_BROKEN`` or ``ANCHOR_MISMATCH`` where a chain does not verify: nothing is written.
        ``AUDIT_WRITE_FAILED`` if the bundle cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out must be a new or an empty folder, was {out}")
    building = out.with_name(f".{out.name}.tmp")
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        facts = {
            chain: _export_chain(building, journal_dir, anchors_dir, chain, key) for chain in chains
        }
        export = _seal(building, facts, is_keyed=key is not None)
        if out.exists():
            out.rmdir()
        building.rename(out)
    except OSError as error:
        raise SystemHalt(ReasonCode.AUDIT_WRITE_FAILED, f"{out}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return export


def _export_chain(
    folder: Path, journal_dir: Path, anchors_dir: Path, chain: str, key: bytes | None
) -> dict[str, int | str]:
    anchors = read_anchors(anchors_dir, chain)  # before the chain, which may grow meanwhile
    heads = {anchor.sequence: anchor for anchor in anchors}
    at, ends = Position.start(chain), {}
    for frame in read_frames(journal_dir, chain, key=key):
        at = Position.after(frame)
        ends[at.segment] = at.offset
        _require_same(heads.pop(at.sequence, None), at)
    heads.pop(0, None)
    if heads:
        detail = f"{chain} ends at #{at.sequence} but {max(heads)} frames were anchored"
        raise SystemHalt(ReasonCode.ANCHOR_MISMATCH, detail)
    for segment, end in ends.items():
        path = folder / "journal" / chain / f"{segment:06d}{SEGMENT_SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(segment_body(journal_dir, chain, segment)[:end])
    path = folder / "anchors" / f"{chain}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(f"{canonical_json(asdict(anchor))}\n" for anchor in anchors), encoding="utf-8"
    )
    return {
        "segments": len(ends),
        "frames": at.sequence,
        "head": at.head.hex(),
        "anchors": len(anchors),
    }


def _require_same(anchor: Anchor | None, at: Position) -> None:
    if anchor is not None and anchor.head != at.head.hex():
        detail = f"{anchor.chain}#{at.sequence} differs from the frame that was anchored"
        raise SystemHalt(ReasonCode.ANCHOR_MISMATCH, detail)


def _seal(folder: Path, chains: dict[str, dict[str, int | str]], *, is_keyed: bool) -> Export:
    shutil.copyfile(standalone.__file__, folder / "verify.py")
    (folder / "README.md").write_text(_README, encoding="utf-8")
    listed = tuple(_listed(folder, path) for path in sorted(folder.rglob("*")) if path.is_file())
    manifest = {
        "format": standalone.FORMAT,
        "keyed": is_keyed,
        "chains": chains,
        "files": {row.path: {"bytes": row.bytes, "sha256": row.sha256} for row in listed},
    }
    body = (canonical_json(manifest) + "\n").encode()
    digest = hashlib.sha256(body).hexdigest()
    (folder / standalone.MANIFEST).write_bytes(body)
    (folder / standalone.SEAL).write_bytes(f"{digest}\n".encode())
    names = (standalone.MANIFEST, standalone.SEAL)
    sealing = tuple(_listed(folder, folder / name) for name in names)
    return Export(files=(*listed, *sealing), sha256=digest)


def _listed(folder: Path, path: Path) -> ExportedFile:
    body = path.read_bytes()
    return ExportedFile(
        path=path.relative_to(folder).as_posix(),
        bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    )
