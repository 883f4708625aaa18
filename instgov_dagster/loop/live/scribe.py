"""What a session writes into its chain: every frame with what all of them say, and the anchors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from instgov_dagster.adapters.journal import Journal, append_anchor
from instgov_dagster.loop.live.leading.host import Plan
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.state_log import StateLog, observe
from instgov_dagster.vocabulary.audit import AppendReceipt
from instgov_dagster.vocabulary.governance import Cause
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The table of a frame that has none.
NO_ROWS = pa.table({"note": pa.array([], pa.string())})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scribe:
    """Holds the pen of one chain.

    Attributes
    ----------
    log
        The reader of the three chains, whose heads stand in every frame.
    """

    platform: Platform
    plan: Plan
    log: StateLog
    chain: Journal

    def append(self, kind: str, table: pa.Table, facts: Mapping[str, Any]) -> AppendReceipt:
        """Write one frame, and an anchor where one is due; the frame is on disk when it returns."""
        meta = {
            "asof": self.plan.asof.isoformat(),
            "run_id": self.plan.run_id,
            "config_hash": self.platform.config_hash,
            "code_hash": self.platform.code_hash,
            "heads": self.log.head_hashes,
            **facts,
        }
        receipt = self.chain.append(kind, table, meta)
        if receipt.sequence % self.platform.policy.loop.anchor_every_cycles == 0:
            self.anchor()
        return receipt

    def anchor(self) -> None:
        """Anchor the chain where it stands."""
        append_anchor(self.platform.home.anchors, self.chain.anchor())

    def observe(self, causes: Sequence[Cause]) -> None:
        """Write down what was found to hold; nothing where nothing was."""
        if causes:
            domain = {cause.reason_code for cause in causes}
            observe(self.platform.home, self.chain, self.log, causes, domain=domain)

    def prove_over(self, domain: Collection[ReasonCode]) -> None:
        """Write down which conditions were found not to hold."""
        observe(self.platform.home, self.chain, self.log, (), domain=domain)
