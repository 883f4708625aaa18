"""What the audit stores as one canonical text and one hash."""

from instgov_dagster.governance.audit.canonical import (
    array_sha256,
    canonical_json,
    inputs_hash,
    sha256_of,
)
from instgov_dagster.governance.audit.digest import Digest
from instgov_dagster.governance.audit.frame_hash import frame_sha256

__all__ = [
    "Digest",
    "array_sha256",
    "canonical_json",
    "frame_sha256",
    "inputs_hash",
    "sha256_of",
]
