"""Every number of the system under one roof: the wings' policies and the loop's own."""

from dataclasses import dataclass, field

from instgov_dagster.vocabulary.checks import check_bounds, number
from instgov_dagster.vocabulary.governance.policy import LifecyclePolicy, VetoPolicy
from instgov_dagster.vocabulary.policy.bars import (
    HistoryPolicy,
    ProviderPolicy,
    QualityPolicy,
    SizingPolicy,
)
from instgov_dagster.vocabulary.policy.beliefs import ModelPolicy, RegimePolicy
from instgov_dagster.vocabulary.policy.capital import (
    AuctionPolicy,
    CVaRConfig,
    ImpactPolicy,
    RiskLimits,
)
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPolicy:
    """The rhythm of the live loop and how old what it stands on may be (roadmap 3.2, 3.3).

    ``late_after_seconds`` is when a cycle counts as late and holds what is held;
    ``snapshot_halt_multiple`` how many times the time to live may pass before a halt;
    ``cold_every_cycles`` where the solver starts cold, so that a replay may begin there;
    ``parity_tolerance`` how far the numbers of a certificate may be apart on another machine;
    ``day_cycles`` in how many cycles the markets `simulated` and `files` walk the day's bar.
    """

    period_seconds: float = number(1.0, ge=0, le=3600)
    cycles: int = number(600, ge=1, le=86_400)
    day_cycles: int = number(600, ge=4, le=86_400)
    late_after_seconds: float = number(1.0, gt=0, le=3600)
    cold_every_cycles: int = number(60, ge=1)
    snapshot_refresh_minutes: float = number(30.0, gt=0, le=1440)
    snapshot_ttl_minutes: float = number(60.0, gt=0, le=1440)
    snapshot_halt_multiple: float = number(2.0, ge=1, le=10)
    quote_max_age_seconds: float = number(5.0, gt=0, le=3600)
    fence_every_seconds: float = number(5.0, gt=0, le=60)
    fence_blind_seconds: float = number(60.0, gt=0, le=3600)
    standby_catch_up_seconds: float = number(1.0, gt=0, le=60)
    standby_waits_sessions: float = number(2.0, ge=1, le=10)
    session_slack_seconds: float = number(300.0, ge=0, le=3600)
    heartbeat_stale_seconds: float = number(10.0, gt=0, le=3600)
    anchor_every_cycles: int = number(60, ge=1)
    journal_segment_mib: int = number(64, ge=1, le=4096)
    min_free_disk_mib: int = number(256, ge=1)
    published_snapshots: int = number(5, ge=2, le=1000)
    published_cycles: int = number(600, ge=1)
    project_every_seconds: float = number(5.0, gt=0, le=3600)
    parity_tolerance: float = number(1e-9, ge=0, le=1e-6)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.snapshot_ttl_minutes < self.snapshot_refresh_minutes:
            raise ValueError(
                "LoopPolicy.snapshot_ttl_minutes must be >= snapshot_refresh_minutes "
                f"({self.snapshot_refresh_minutes:g}), was {self.snapshot_ttl_minutes:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every number that decides something, as ``policy.yaml`` states it."""

    nav_usd: float = number(10_000_000.0, gt=0)
    history: HistoryPolicy = field(default_factory=HistoryPolicy)
    quality: QualityPolicy = field(default_factory=QualityPolicy)
    providers: ProviderPolicy = field(default_factory=ProviderPolicy)
    sizing: SizingPolicy = field(default_factory=SizingPolicy)
    regime: RegimePolicy = field(default_factory=RegimePolicy)
    models: ModelPolicy = field(default_factory=ModelPolicy)
    cvar: CVaRConfig = field(default_factory=CVaRConfig)
    auction: AuctionPolicy = field(default_factory=AuctionPolicy)
    impact: ImpactPolicy = field(default_factory=ImpactPolicy)
    limits: RiskLimits = field(default_factory=RiskLimits)
    veto: VetoPolicy = field(default_factory=VetoPolicy)
    lifecycle: LifecyclePolicy = field(default_factory=LifecyclePolicy)
    loop: LoopPolicy = field(default_factory=LoopPolicy)
    operations: OperationsPolicy = field(default_factory=OperationsPolicy)

    def __post_init__(self) -> None:
        check_bounds(self)
        self._require_agreement("horizon_sessions", "cvar.horizon_days", self.cvar.horizon_days)

    def _require_agreement(self, name: str, other: str, wanted: int) -> None:
        # One decision horizon: a CVaR over five sessions beside a regime over ten compares nothing.
        for table in ("regime", "lifecycle"):
            value = getattr(getattr(self, table), name)
            if value != wanted:
                raise ValueError(f"{table}.{name} must equal {other} ({wanted}), was {value}")
