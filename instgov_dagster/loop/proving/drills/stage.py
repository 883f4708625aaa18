"""One drill's own installation: a copy of one led night, what is done on it and what is seen."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import yaml

from instgov_dagster.adapters.account import OrderOutcome, OrderStatus
from instgov_dagster.adapters.config import POLICY_FILE, UNIVERSE_FILE
from instgov_dagster.adapters.journal import Frame, read_frames, unbundle
from instgov_dagster.adapters.markets.quote_stream import SessionSpan
from instgov_dagster.adapters.paper.store import read_account
from instgov_dagster.adapters.runtime import Home, code_sha256
from instgov_dagster.adapters.store.published import publish, read_snapshot
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.solver import AuctionSolver
from instgov_dagster.loop.decision.book import fresh_book
from instgov_dagster.loop.folding.continuity import Trail
from instgov_dagster.loop.folding.fold import CycleInputs, SessionFold, Turn
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.frames import CYCLE_KIND
from instgov_dagster.loop.live.opening import open_quotes, open_snapshot
from instgov_dagster.loop.live.recovery import last_book
from instgov_dagster.loop.night import STEPS
from instgov_dagster.loop.night_run.run import NightRun
from instgov_dagster.loop.platform import Platform, Settings, open_platform
from instgov_dagster.loop.proving.drills.catalog import MaySend
from instgov_dagster.loop.session import run_session
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.errors import InstgovError, LeaseHeld, WarehouseBusy
from instgov_dagster.vocabulary.governance import Chain, Veto
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The day every drill is held on, and the next one.
DRILL_DAY, NEXT_DAY = date(2025, 3, 12), date(2025, 3, 13)
#: The universe every drill is held in: four classes and both references.
DRILL_SECTORS: Mapping[str, str] = {
    "AAPL": "TECHNOLOGY",
    "JPM": "FINANCIALS",
    "KO": "CONSUMER_STAPLES",
    "SPY": "BROAD_MARKET",
    "TLT": "GOVERNMENT_BONDS",
    "XOM": "ENERGY",
    "EURUSD=X": "FX_EUROPE",
    "BTC-USD": "CRYPTO_MONEY",
    "GC=F": "PRECIOUS_METALS",
    "^GSPC": "UNKNOWN",
    "^VIX": "UNKNOWN",
}
LED_CYCLES = 3
KEPT_SNAPSHOTS = 5
LAST_STEP = "governance_decisions"
_CODES: Mapping[type[InstgovError], ReasonCode] = {
    LeaseHeld: ReasonCode.LEASE_HELD,
    WarehouseBusy: ReasonCode.WAREHOUSE_BUSY,
}

Account = Mapping[str, OrderOutcome]


@dataclass(slots=True, kw_only=True)
class Stage:
    """An installation after one night and one session of it, to be damaged at will.

    Attributes
    ----------
    touched
        Symbols the fault is about, where it is about some.
    codes
        Every code told since the stage was set, by whatever told it.
    failures
        What a drill itself found wrong, in sentences.
    statistic
        The number that shows the control at work, where there is one.
    """

    root: Path
    touched: frozenset[str] = frozenset()
    codes: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    statistic: float | None = None
    platform: Platform = field(init=False)
    _before: Account = field(init=False)
    _first_frame: int = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()
        self.mark()
        self._first_frame = max((frame.sequence for frame in self.frames()), default=0) + 1

    def add_symbol(self, symbol: str) -> None:
        """Let a symbol enter the universe, and come as a new process."""
        write_universe(self.root / "config", {**DRILL_SECTORS, symbol: "UNKNOWN"})
        self.reopen()

    def reopen(self) -> None:
        """Open the installation as a new process would."""
        self.platform = open_platform(_settings(self.root), {})

    def mark(self) -> None:
        """Hold the broker's record from here on against what stands in it now."""
        self._before = self.account()

    def account(self) -> Account:
        """Read the broker's own record: every order by its id."""
        state = read_account(self.platform.home.paper_account)
        return {o.order.client_order_id: o for o in state.outcomes} if state else {}

    def frames(self) -> list[Frame]:
        """Read the loop's chain."""
        return list(read_frames(self.platform.home.journal_dir, Chain.LOOP.value))

    def traded(self) -> tuple[str, ...]:
        """Name the symbols that were ordered before the fault, sorted."""
        return tuple(sorted({outcome.order.symbol for outcome in self._before.values()}))

    def attempt(self, act: Callable[[], object]) -> None:
        """Do what may be refused, and keep what was told of it."""
        try:
            act()
        except InstgovError as error:
            code = getattr(error, "reason_code", _CODES.get(type(error)))
            self.codes.add(str(code))
            self.details.append(" ".join(str(error).split()))
        except OSError as error:  # a fault of the world that nobody was to translate
            self.details.append(f"{type(error).__name__}: {error}")

    def lead(
        self, platform: Platform | None = None, *, cycles: int = 2, period: float = 0.0
    ) -> None:
        """Lead one session, and keep what it told: its error, or the codes of its decisions."""
        led = platform or self.platform
        self.attempt(
            lambda: run_session(
                led, DRILL_DAY, cycles=cycles, period_seconds=period, run_id="drill"
            )
        )

    def night_until(self, platform: Platform, last: str) -> None:
        """Run the next day's night up to and including one step."""

        def act() -> None:
            with NightRun(platform, NEXT_DAY, run_id="drill") as night:
                night.ingest()
                for step in STEPS:
                    outcome = night.run_step(step.name)
                    self.codes.update(cause.reason_code for cause in outcome.causes)
                    self.details += [cause.detail for cause in outcome.causes]
                    if step.name == last:
                        return

        self.attempt(act)

    def fold(
        self,
        *,
        platform: Platform | None = None,
        solver: AuctionSolver | None = None,
        vetoes: tuple[Veto, ...] = (),
    ) -> Turn:
        """Decide the next cycle by the session's own fold, without a broker, and keep its codes."""
        used = platform or self.platform
        snapshot = open_snapshot(used, DRILL_DAY)
        trail = Trail(day=DRILL_DAY)
        for frame in read_frames(used.home.journal_dir, Chain.LOOP.value, key=used.key):
            trail.follow(frame)
        span = SessionSpan(
            day=DRILL_DAY,
            cycles=1,
            seed=used.settings.seed,
            day_cycles=used.policy.loop.day_cycles,
            first_cycle=trail.cycles,
        )
        state = replace(trail.restore(snapshot), vetoes=vetoes, previous={})
        fold = SessionFold(
            snapshot,
            used.policy,
            session_id="drill",
            book=last_book(used) or fresh_book(used.policy.nav_usd),
            state=state,
            ledger=SessionLedger(snapshot, opening={}, flows={}),
            solver=solver or HotSolver(),
        )
        turn = fold.cycle(
            CycleInputs(
                number=0,
                timestamp=span.instant(trail.cycles),
                quotes=open_quotes(used, snapshot, span).quotes_at(trail.cycles),
                system=used.state_log().refresh(),
                is_late=False,
                is_stale=False,
            )
        )
        self.codes.update(turn.decision.auction.reason_codes, turn.decision.risk.reason_codes)
        for row in turn.decision.decisions:
            self.codes.update(row.reason_codes)
        return turn

    def conclude(self) -> None:
        """Gather every code that decisions, the state and its causes tell."""
        state = self.platform.state_log().refresh()
        self.codes.update(state.reason_codes)
        self.details += [cause.detail for cause in state.causes]
        try:
            frames = self.frames()
        except InstgovError as error:
            self.details.append(str(error))
            return
        for frame in frames:
            if frame.kind == CYCLE_KIND and frame.sequence >= self._first_frame:
                self.codes.update(_codes_of(frame))

    def trespasses(self, may_send: MaySend) -> list[str]:
        """Say what reached the broker that must not have, in sentences."""
        after, out = self.account(), []
        for name, outcome in after.items():
            earlier = self._before.get(name)
            if earlier is None and not self._is_allowed(outcome, may_send):
                out.append(f"{outcome.order.side} {outcome.order.symbol} was sent: {name}")
            if earlier is not None and may_send is MaySend.NOTHING and earlier != outcome:
                out.append(f"{name} went from {earlier.status} to {outcome.status}")
        return out

    def _is_allowed(self, outcome: OrderOutcome, may_send: MaySend) -> bool:
        match may_send:
            case MaySend.REDUCTIONS:
                return outcome.order.side is OrderSide.SELL
            case MaySend.ELSEWHERE:
                return outcome.order.symbol not in self.touched
            case MaySend.BOUGHT_ELSEWHERE:
                is_sale = outcome.order.side is OrderSide.SELL
                return is_sale or outcome.order.symbol not in self.touched
            case _:
                return False

    def resting(self) -> int:
        """Count the orders that stand at the broker."""
        found = self.account().values()
        return sum(outcome.status is OrderStatus.RESTING for outcome in found)


def _codes_of(frame: Frame) -> set[str]:
    tables = unbundle(frame.table())
    codes: set[str] = set()
    for name in ("governance_decisions", "capital_allocations"):
        if name in tables:
            column = tables[name].column("reason_codes").to_pylist()
            codes.update(code for row in column for code in row)
    return codes | set(frame.meta.get("reason_codes", ()))


def _settings(root: Path) -> Settings:
    return Settings(home=root / "data", config_dir=root / "config")


def write_rules(folder: Path, config_dir: Path) -> None:
    """Write the rules in force beside the drills' own small universe."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(config_dir / POLICY_FILE, folder / POLICY_FILE)
    write_universe(folder, DRILL_SECTORS)


def write_universe(folder: Path, sectors: Mapping[str, str]) -> None:
    """Write a universe: its symbols, each with its sector."""
    rows = [{"symbol": symbol, "sector": sector} for symbol, sector in sectors.items()]
    body = yaml.safe_dump({"symbols": rows}, sort_keys=False)
    (folder / UNIVERSE_FILE).write_text(body, encoding="utf-8")


def set_up(folder: Path, config_dir: Path) -> Path:
    """Run a night up to its decisions and a short session of it, to be copied for each drill."""
    write_rules(folder / "config", config_dir)
    platform = open_platform(_settings(folder), {})
    with NightRun(platform, DRILL_DAY, run_id="drill-night") as night:
        night.ingest()
        for step in STEPS:
            night.run_step(step.name)
            if step.name == LAST_STEP:
                break  # what follows decides nothing: it judges the models
        night.publish()
    run_session(platform, DRILL_DAY, cycles=LED_CYCLES, period_seconds=0.0, run_id="drill-base")
    return folder


def take_over(base: Path, folder: Path) -> None:
    """Copy an installation that other code set up, and publish its night as this code's own."""
    shutil.copytree(base, folder)
    night = Home(folder / "data").published / "night"
    held = read_snapshot(night)
    meta = {**held.meta, "code_hash": code_sha256()}
    publish(night, held.tables, meta=meta, keep=KEPT_SNAPSHOTS)


def stage_of(base: Path, folder: Path) -> Stage:
    """Copy the installation, so that a drill may do with it what it likes."""
    shutil.copytree(base, folder)
    return Stage(root=folder)
