"""Append-only, hash-chained Arrow frames: the authority for all that was decided."""

from instgov_dagster.adapters.journal.anchors import (
    Anchor,
    append_anchor,
    read_anchors,
    read_anchors_from,
)
from instgov_dagster.adapters.journal.bundle import bundle_tables, is_bundle, unbundle
from instgov_dagster.adapters.journal.chain import Fence, Journal, TornTail
from instgov_dagster.adapters.journal.compact import CompactedSegment, compact_chain, compact_chains
from instgov_dagster.adapters.journal.export import Export, export_bundle
from instgov_dagster.adapters.journal.frames import Frame, canonical_json, encode_payload, key_from
from instgov_dagster.adapters.journal.scan import (
    Position,
    chain_position,
    newest_headers,
    read_frames,
)
from instgov_dagster.adapters.journal.segments import BrokenFrame
from instgov_dagster.adapters.journal.verify import ChainReport, list_chains, verify_chain

__all__ = [
    "Anchor",
    "BrokenFrame",
    "ChainReport",
    "CompactedSegment",
    "Export",
    "Fence",
    "Frame",
    "Journal",
    "Position",
    "TornTail",
    "append_anchor",
    "bundle_tables",
    "canonical_json",
    "chain_position",
    "compact_chain",
    "compact_chains",
    "encode_payload",
    "export_bundle",
    "is_bundle",
    "key_from",
    "list_chains",
    "newest_headers",
    "read_anchors",
    "read_anchors_from",
    "read_frames",
    "unbundle",
    "verify_chain",
]
