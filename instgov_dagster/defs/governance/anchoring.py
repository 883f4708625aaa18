"""Anchors of the chains in Dagster's event log: a second witness outside the home's own files."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.governance import Chain

if TYPE_CHECKING:
    from instgov_dagster.adapters.journal import Anchor, ChainReport

#: The asset whose runless materializations are the anchors: they outlive every run.
AUDIT_CHAIN = dg.AssetKey("audit_chain")

#: How many anchors of the event log a verification holds the chains against.
ANCHORS_READ = 100

_HOME = "home"
_ANCHORS = "anchors"


def anchor_chains(context: dg.AssetExecutionContext, platform: PlatformResource) -> None:
    """Write where each chain stands now into the event log, outside the run that did it.

    Deleting a run deletes its events; an event without a run stays.
    """
    from instgov_dagster.adapters.journal import read_anchors

    home = platform.layout()
    last = {chain.value: read_anchors(home.anchors, chain.value)[-1:] for chain in Chain}
    heads = {name: asdict(anchors[0]) for name, anchors in last.items() if anchors}
    if not heads:
        return
    event = dg.AssetMaterialization(
        asset_key=AUDIT_CHAIN,
        partition=context.partition_key,
        metadata={_HOME: str(home.root), _ANCHORS: dg.MetadataValue.json(heads)},
    )
    context.instance.report_runless_asset_event(event)


def verify_chains(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> tuple["ChainReport", ...]:
    """Walk the three chains again and hold them against both witnesses.

    Raises
    ------
    SystemHalt
        ``ANCHOR_MISMATCH`` if a finished line of the anchors' file cannot be understood.
    """
    import os

    from instgov_dagster.adapters.journal import key_from, read_anchors, verify_chain

    home = platform.layout()
    witnessed = _witnessed(context.instance, str(home.root))
    return tuple(
        verify_chain(
            home.journal_dir,
            chain.value,
            key=key_from(os.environ),
            anchors=(
                *read_anchors(home.anchors, chain.value),
                *(anchor for anchor in witnessed if anchor.chain == chain.value),
            ),
        )
        for chain in Chain
    )


def _witnessed(instance: dg.DagsterInstance, home: str) -> list["Anchor"]:
    from instgov_dagster.adapters.journal import Anchor

    found = instance.fetch_materializations(AUDIT_CHAIN, limit=ANCHORS_READ).records
    facts = [
        record.asset_materialization.metadata for record in found if record.asset_materialization
    ]
    # One instance may serve several homes: each is held against its own anchors only.
    mine = [entry for entry in facts if _ANCHORS in entry and entry[_HOME].value == home]
    return [Anchor(**row) for entry in mine for row in _rows(entry[_ANCHORS].value)]


def _rows(heads: Any) -> list[Mapping[str, Any]]:
    return list(heads.values()) if isinstance(heads, Mapping) else []
