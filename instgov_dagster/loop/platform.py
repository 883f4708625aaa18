"""One installation opened for work: home, rules, market, warehouse and the hashes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from instgov_dagster.adapters.account import AccountWord
from instgov_dagster.adapters.config import (
    config_sha256,
    find_config_dir,
    load_policy,
    load_universe,
)
from instgov_dagster.adapters.journal import Journal, Position, key_from, read_anchors
from instgov_dagster.adapters.lake.address import LakeAddress, lake_from
from instgov_dagster.adapters.markets.binding import bind_market, require_market
from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.markets.protocol import MarketSource
from instgov_dagster.adapters.markets.simulated import SimulatedMarket
from instgov_dagster.adapters.runtime import (
    Clock,
    Home,
    HostLease,
    Lease,
    RealClock,
    code_sha256,
)
from instgov_dagster.adapters.runtime.leases.postgres_lease import PostgresLease
from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread
from instgov_dagster.adapters.runtime.shards import shard_count
from instgov_dagster.adapters.runtime.turns import shared_turns
from instgov_dagster.adapters.store.errors import WarehouseCorrupt
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.bars.calendars import is_session, knowledge_instant
from instgov_dagster.bars.providers import entitled_providers, execution_account
from instgov_dagster.governance.state import cause_of
from instgov_dagster.loop.state_log import StateLog, observe
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.bars import AssetClass, BrokerAccount, Market, Universe
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import InputError
from instgov_dagster.vocabulary.governance import Chain
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The world of the embedded market where nobody names another.
DEFAULT_SEED = 7

#: Where several hosts may lead: the database that knows which one does, and the lease's name there.
LEASE_URL_VARIABLE = "INSTGOV_LEASE_URL"
LEASE_NAME_VARIABLE = "INSTGOV_LEASE_NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a person chooses: where it lives, which market, which rules."""

    home: Path
    market: Market = Market.SIMULATED
    bars: Path | None = None
    quotes: Path | None = None
    seed: int = DEFAULT_SEED
    config_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.market is Market.FILES and self.bars is None:
            raise InputError("--bars must name a folder for the market files, was nothing")
        if self.market is not Market.FILES and self.bars is not None:
            raise InputError(f"--bars must go with the market files, was given for {self.market}")
        if self.market is not Market.FILES and self.quotes is not None:
            raise InputError(f"--quotes must go with the market files, was given for {self.market}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Platform:
    """Everything a night or a session stands on; nothing in it changes while it is open.

    Attributes
    ----------
    shards
        How many shards bring a night's bars; 1 where the night asks for them by itself.
    account
        Whose account orders go to.
    environment
        The process's variables, keys among them: they are in no text of it.
    """

    settings: Settings
    home: Home
    policy: Policy
    universe: Universe
    source: MarketSource
    warehouse: WarehouseResource
    key: bytes | None
    config_hash: str
    code_hash: str
    entitled: frozenset[str]
    lease_url: str | None = None
    lease_name: str = "instgov"
    lake: LakeAddress | None = None
    shards: int = 1
    clock: Clock = field(default_factory=RealClock)
    account: BrokerAccount = BrokerAccount.EMBEDDED
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def context(self, asof: date) -> NightContext:
        """Give the fixed surroundings of one night."""
        sigma = self.policy.models.forecast.sigma
        return NightContext(
            asof=asof,
            known_at=knowledge_instant(asof, self.policy.history),
            market=self.settings.market,
            universe=self.universe,
            policy=self.policy,
            entitled=self.entitled,
            spread=ProcessSpread(parallel_from=sigma.parallel_from, workers=sigma.workers),
        )

    def open_chain(
        self,
        chain: Chain,
        *,
        clock: Clock | None = None,
        proven: Position | None = None,
        wait_seconds: float = 0.0,
    ) -> Journal:
        """Open one chain for writing, held against its anchors; see `Journal.open`."""
        return Journal.open(
            self.home.journal_dir,
            chain.value,
            key=self.key,
            clock=clock or self.clock,
            anchors=read_anchors(self.home.anchors, chain.value),
            segment_bytes=self.policy.loop.journal_segment_mib * 1024 * 1024,
            proven=proven,
            wait_seconds=wait_seconds,
        )

    def account_word(self, day: date) -> AccountWord | None:
        """Ask whoever keeps the account what it holds and did since a day began; None at home.

        Raises
        ------
        SystemHalt
            ``RECONCILIATION_UNRESOLVED`` where it does not say.
        """
        if not self.account.is_remote:
            return None
        from instgov_dagster.adapters.markets.live.alpaca.account import alpaca_word

        return alpaca_word(
            self.account, self.environment, self.policy.providers, clock=self.clock, day=day
        )

    def open_lease(self) -> Lease:
        """Give the lease a leader must hold: this host's, or one of all hosts in Postgres."""
        if self.lease_url is None:
            return HostLease(self.home.lease)
        return PostgresLease(self.home.lease, url=self.lease_url, name=self.lease_name)

    def state_log(self) -> StateLog:
        """Open the reader of the system's state."""
        return StateLog(self.home, self.key)

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return self.clock.now()


def _open_market(
    settings: Settings,
    universe: Universe,
    policy: Policy,
    environment: Mapping[str, str],
    clock: Clock,
) -> MarketSource:
    match settings.market:
        case Market.SIMULATED:
            return SimulatedMarket(universe, seed=settings.seed)
        case Market.FILES if settings.bars is not None:
            return FilesMarket(settings.bars, quotes=settings.quotes)
        case Market.LIVE:
            return _open_live(Home(settings.home.resolve()), universe, policy, environment, clock)
        case _:
            raise InputError(f"--market must be one of {', '.join(Market)}, was {settings.market}")


def _open_live(
    home: Home,
    universe: Universe,
    policy: Policy,
    environment: Mapping[str, str],
    clock: Clock,
) -> MarketSource:
    from instgov_dagster.adapters.markets.live.alpaca.account import desk_address
    from instgov_dagster.adapters.markets.live.clients import history_providers
    from instgov_dagster.adapters.markets.live.market import LiveMarket, require_keys

    require_keys(universe, policy, environment)
    desk_address(policy.providers.broker, environment)  # one that may not be is refused here

    def tell(done: int, of: int) -> None:
        home.night_progress.write_text(f"{done}/{of} symbols asked for", encoding="utf-8")

    return LiveMarket(
        configured=universe,
        policy=policy,
        environment=environment,
        clock=clock,
        providers=history_providers(
            environment,
            policy.providers,
            clock=clock,
            cache_dir=home.root / "runtime" / "yahoo",
            turns=shared_turns(
                home.rates,
                url=environment.get(LEASE_URL_VARIABLE) or None,
                system=environment.get(LEASE_NAME_VARIABLE) or "instgov",
            ),
        ),
        progress=tell,
    )


def open_platform(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    clock: Clock | None = None,
    claim: Callable[[Home], None] | None = None,
) -> Platform:
    """Load the rules, open the market and make the store ready.

    Parameters
    ----------
    environment
        The process's variables: entitlements, the journal's key, the configuration folder.
    claim
        Called once all that was asked for is valid and nothing is written yet: whoever may not
        work on this home raises there.

    Raises
    ------
    InputError
        On bad rules, universe, folder of bars or address of a lake, or a home of another market;
        nothing is written then.
    WarehouseBusy, WarehouseCorrupt, SystemHalt
        Where the store cannot be used.
    """
    config_dir = find_config_dir(
        settings.config_dir, environment=environment, working_dir=Path.cwd()
    )
    policy, configured = load_policy(config_dir), load_universe(config_dir)
    time, lake = clock or RealClock(), lake_from(environment)
    account = execution_account(settings.market, policy.providers.broker, environment)
    source = _open_market(settings, configured, policy, environment, time)
    universe = source.universe(configured)
    home = Home(settings.home.resolve())
    require_market(home, settings.market, seed=settings.seed, account=account)
    if claim is not None:
        claim(home)
    is_new = not home.warehouse.exists() and not _has_worked(home)
    platform = Platform(
        settings=settings,
        home=home,
        policy=policy,
        universe=universe,
        source=source,
        warehouse=WarehouseResource(database=str(home.warehouse)),
        key=key_from(environment),
        config_hash=config_sha256(policy, universe),
        code_hash=code_sha256(),
        entitled=entitled_providers(environment, policy.history.window_days),
        lease_url=environment.get(LEASE_URL_VARIABLE) or None,
        lease_name=environment.get(LEASE_NAME_VARIABLE) or "instgov",
        lake=lake,
        shards=shard_count(environment),
        clock=time,
        account=account,
        environment=environment,
    )
    bind_market(home, settings.market, seed=settings.seed, account=account)
    _open_warehouse(platform, create=is_new)
    return platform


def _has_worked(home: Home) -> bool:
    # An operator may halt a home before its first night: that chain alone misses no warehouse.
    return any((home.journal_dir / chain).exists() for chain in (Chain.NIGHT, Chain.LOOP))


def _open_warehouse(platform: Platform, *, create: bool) -> None:
    try:
        platform.warehouse.ensure_schema(applied_at=platform.now(), create=create)
    except WarehouseCorrupt as error:
        # A store that is lost or damaged halts every process, until an operator looked at it.
        cause = cause_of(ReasonCode.WAREHOUSE_CORRUPT, ReasonCode.WAREHOUSE_CORRUPT.sentence)
        with platform.open_chain(Chain.NIGHT) as journal:
            observe(
                platform.home,
                journal,
                platform.state_log(),
                (cause,),
                domain={ReasonCode.WAREHOUSE_CORRUPT},
            )
        raise WarehouseCorrupt(error.detail) from error


def latest_session(today: date) -> date:
    """Give the last day up to today on which the New York exchange trades."""
    day = today
    while not is_session(AssetClass.STOCKS, day):
        day = date.fromordinal(day.toordinal() - 1)
    return day
