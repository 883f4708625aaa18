"""`run`, `nightly` and `live`: one night, one session, or both, as recorded Dagster runs."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instgov_dagster.cli.instance import Outcome, open_instance, run_job
from instgov_dagster.cli.options import (
    AsofOption,
    BarsOption,
    ConfigOption,
    HomeOption,
    JsonOption,
    MarketOption,
    QuotesOption,
    SeedOption,
    parse_market,
    resolve_asof,
    resolve_home,
)
from instgov_dagster.cli.output import (
    CHECK_FAILED,
    DONE,
    HALTED,
    exit_codes,
    print_json,
    quiet_stdout,
)
from instgov_dagster.cli.progress import progress
from instgov_dagster.vocabulary.errors import (
    DataRejected,
    InputError,
    InstgovError,
    SystemHalt,
)

if TYPE_CHECKING:
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.loop.platform import Platform, Settings

CyclesOption = Annotated[int, typer.Option("--cycles", help="Cycles of the live session.")]
PeriodOption = Annotated[
    float, typer.Option("--period", help="Seconds between cycles; 0 runs them back to back.")
]

_FIELDS = (
    "state", "causes", "market", "asof", "symbols", "eligible", "bars", "invalid", "ineligible",
    "cycles", "decisions", "verdicts", "reasons", "orders", "fills", "nav", "gross", "cvar",
    "cvar_gate", "cvar_limit", "measures", "p_hit_crisis_5d", "cycle_ms_p50", "cycle_ms_p99",
    "chain_head", "report", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one call of the command line asks for."""

    home: Path | None
    config: Path | None
    market: str | None
    bars: Path | None
    quotes: Path | None
    asof: str | None
    seed: int | None
    cycles: int
    period: float
    is_night: bool
    is_live: bool


def run_command(  # noqa: PLR0913  # the options are the contract
    home: HomeOption = None,
    config: ConfigOption = None,
    market: MarketOption = None,
    bars: BarsOption = None,
    asof: AsofOption = None,
    cycles: CyclesOption = 60,
    period: PeriodOption = 1.0,
    seed: SeedOption = None,
    *,
    quotes: QuotesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one night, then one live session."""
    plan = Plan(
        home=home, config=config, market=market, bars=bars, quotes=quotes, asof=asof, seed=seed,
        cycles=cycles, period=period, is_night=True, is_live=True,
    )  # fmt: skip
    _execute(plan, is_json=as_json)


def nightly_command(
    home: HomeOption = None,
    config: ConfigOption = None,
    market: MarketOption = None,
    bars: BarsOption = None,
    asof: AsofOption = None,
    seed: SeedOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Run one night: ingest, judge, believe, allocate, publish."""
    plan = Plan(
        home=home, config=config, market=market, bars=bars, quotes=None, asof=asof, seed=seed,
        cycles=1, period=0.0, is_night=True, is_live=False,
    )  # fmt: skip
    _execute(plan, is_json=as_json)


def live_command(  # noqa: PLR0913  # the options are the contract
    home: HomeOption = None,
    config: ConfigOption = None,
    market: MarketOption = None,
    bars: BarsOption = None,
    asof: AsofOption = None,
    cycles: CyclesOption = 60,
    period: PeriodOption = 1.0,
    seed: SeedOption = None,
    *,
    quotes: QuotesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one live session on the night that was published."""
    plan = Plan(
        home=home, config=config, market=market, bars=bars, quotes=quotes, asof=asof, seed=seed,
        cycles=cycles, period=period, is_night=False, is_live=True,
    )  # fmt: skip
    _execute(plan, is_json=as_json)


def _settings(plan: Plan, day: date) -> "Settings":
    from instgov_dagster.cli.options import choose_home
    from instgov_dagster.loop.platform import DEFAULT_SEED, Settings

    if plan.cycles < 1:
        raise InputError(f"--cycles must be >= 1, was {plan.cycles}")
    if not 0.0 <= plan.period <= 3600.0:
        raise InputError(f"--period must be in [0, 3600], was {plan.period}")
    if plan.seed is not None and plan.seed < 0:
        raise InputError(f"--seed must be >= 0, was {plan.seed}")
    market = parse_market(plan.market, plan.bars)
    seed = DEFAULT_SEED if plan.seed is None else plan.seed
    asked = Settings(
        home=resolve_home(plan.home),
        market=market,
        bars=plan.bars.resolve() if plan.bars else None,
        quotes=plan.quotes.resolve() if plan.quotes else None,
        seed=seed,
        config_dir=plan.config.resolve() if plan.config else None,
    )
    return replace(asked, home=choose_home(plan.home, market=market, seed=seed, day=day))


def _execute(plan: Plan, *, is_json: bool) -> None:
    begun = time.perf_counter()
    with exit_codes(), quiet_stdout(is_json=is_json) as descriptor, ExitStack() as held:
        from instgov_dagster.adapters.runtime import RealClock
        from instgov_dagster.cli.summary import collect, print_summary, unreached
        from instgov_dagster.loop.platform import open_platform

        day = resolve_asof(plan.asof, RealClock().now())
        settings = _settings(plan, day)
        fields: dict[str, Any] = dict.fromkeys(_FIELDS)
        try:
            if not plan.is_night:
                _require_night(settings, day)
            platform = open_platform(settings, os.environ, claim=partial(_claim, plan, held=held))
            outcome = _run_jobs(plan, platform, day, is_shown=not is_json)
            fields |= collect(platform, day, outcome.session_run_id)
            outcome.require_led(platform.home.lease)
            code = _exit_code(fields, has_failed=outcome.has_failed)
        except (InputError, DataRejected):
            raise
        except InstgovError as error:
            # Halted, stopped, busy or led by another: told, with all that was not reached null.
            sys.stderr.write(f"instgov: {' '.join(str(error).split())}\n")
            fields |= unreached(settings, day)
            code = HALTED
        fields["seconds"] = round(time.perf_counter() - begun, 3)
        if is_json:
            print_json(fields, descriptor)
        elif fields["report"] is not None:
            print_summary(fields, settings.home)
    raise typer.Exit(code)


def _claim(plan: Plan, home: "Home", held: ExitStack) -> None:
    # Taken before anything is written, then lent to the night and the session as they begin: a
    # process that another keeps from either writes nothing.
    from instgov_dagster.adapters.runtime import lent_locks

    wanted = [home.night_lock] * plan.is_night + [home.lease] * plan.is_live
    held.enter_context(lent_locks(wanted))


def _require_night(settings: "Settings", day: date) -> None:
    # A session asked for the wrong night is a wrong question: it must not stop the system.
    from instgov_dagster.adapters.runtime import Home
    from instgov_dagster.adapters.store.published import published_meta
    from instgov_dagster.loop.live.opening import require_asked

    try:
        meta = published_meta(Home(settings.home).published / "night")
    except SystemHalt:
        return  # damage is the session's to find: it journals the stop
    if meta is None:
        raise InputError(f"--home must hold a published night, was {settings.home}: run nightly")
    require_asked(meta, asof=day, market=settings.market)


def _run_jobs(plan: Plan, platform: "Platform", day: date, *, is_shown: bool) -> Outcome:
    home = platform.home
    with open_instance(home.root) as instance:
        if plan.is_night:
            with progress(home.night_progress, "night", is_shown=is_shown):
                night = run_job(instance, "nightly_ingestion", day, _run_config(platform))
            if not night.success:
                return Outcome(has_failed=True)
        if plan.is_live:
            # A command's session waits for nobody: it holds its lease already.
            session = {"cycles": plan.cycles, "period_seconds": plan.period, "may_wait": False}
            config = _run_config(platform) | {"ops": {"live_session": {"config": session}}}
            with progress(home.heartbeat, "live", is_shown=is_shown):
                live = run_job(instance, "governed_live_loop", day, config)
            return Outcome.of_session(live)
    return Outcome(has_failed=False)


def _run_config(platform: "Platform") -> dict[str, Any]:
    settings = platform.settings
    fields = {
        "home": str(settings.home),
        "market": settings.market.value,
        "bars": str(settings.bars) if settings.bars else None,
        "quotes": str(settings.quotes) if settings.quotes else None,
        "seed": settings.seed,
        "config_dir": str(settings.config_dir) if settings.config_dir else None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return {
        "resources": {"platform": {"config": given}},
        # The event log keeps every step; a person is told the outcome, and what went wrong.
        "loggers": {"console": {"config": {"log_level": "WARNING"}}},
    }


def _exit_code(fields: Mapping[str, Any], *, has_failed: bool) -> int:
    if fields["state"] in ("HALT_SYSTEM", "STOP_SYSTEM"):
        return HALTED
    return CHECK_FAILED if has_failed else DONE
