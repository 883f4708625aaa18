"""The hash of the package's own sources."""

import hashlib
from pathlib import Path

CODE_SUFFIXES = (".py", ".sql")
_PACKAGE = Path(__file__).resolve().parent.parent.parent


def code_sha256() -> str:
    """Hash the package's own sources: file names and bytes, in order of name."""
    digest = hashlib.sha256()
    files = sorted(p for p in _PACKAGE.rglob("*") if p.suffix in CODE_SUFFIXES)
    for path in files:
        body = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()
