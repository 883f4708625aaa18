"""One day of a walk: the night, the session's decision on the first quote, fills, the close."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import polars as pl

from instgov_dagster.adapters.markets.quote_stream import SessionSpan, bridged_stream
from instgov_dagster.bars.calendars import open_mask
from instgov_dagster.bars.quotes import Quotes
from instgov_dagster.beliefs.hot.day import WholeFold
from instgov_dagster.beliefs.hot.published import NightModels
from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.book import measure_book
from instgov_dagster.governance.state import cause_of
from instgov_dagster.governance.veto import VETO_SCHEMA
from instgov_dagster.loop.cycle import CycleDecision, decide, opening_state
from instgov_dagster.loop.decision.bidding import value_book
from instgov_dagster.loop.decision.book import Book, BookChange, apply_changes
from instgov_dagster.loop.decision.forecasting import day_models
from instgov_dagster.loop.decision.snapshot import SNAPSHOT_TABLES, Snapshot, snapshot_from_tables
from instgov_dagster.loop.folding.ledger import SessionLedger
from instgov_dagster.loop.live.opening import PROVED_BY_ENDING, PROVED_BY_OPENING
from instgov_dagster.loop.live.orders import transfer_changes
from instgov_dagster.loop.night import STEP_BY_NAME
from instgov_dagster.loop.night_run.run import PROVED_BY_PUBLISHING
from instgov_dagster.loop.proving.survival.keeping.memory import Memory
from instgov_dagster.loop.proving.survival.knowing.nights import KnownNight, Learnt
from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.loop.proving.survival.left import (
    Day,
    account_rows,
    beliefs_row,
    decision_row,
    reason_counts,
    stage_moves,
    strategy_rows,
)
from instgov_dagster.loop.proving.survival.trading import (
    Traded,
    act_on_corporate_actions,
    bar_prices,
    trade_session,
)
from instgov_dagster.loop.steps import capital, coverage, stress
from instgov_dagster.loop.steps.context import Tables
from instgov_dagster.loop.steps.vetoes import find_vetoes, settle
from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.config import Policy
from instgov_dagster.vocabulary.errors import DataRejected, SystemHalt
from instgov_dagster.vocabulary.governance import Cause, Chain, SystemStateName
from instgov_dagster.vocabulary.reason_table import Severity

#: What ends a night because the forecasts of the tail were refuted (a blocking check, SPEC 4).
COVERAGE_BLOCKS: Final = "cvar_coverage"
_REGIME: Final = "regime_beliefs"


class DayRun:
    """Runs days of one world on one memory."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world, self.memory = world, memory
        self._solver = HotSolver()
        self._held: dict[tuple[str, str], float] = {}
        self._kept: dict[tuple[str, str], float] = {}

    @property
    def _policy(self) -> Policy:
        return self._world.policy

    def run(self, known: KnownNight, before: Learnt, bars: pl.DataFrame) -> Day:
        """Hold the night and the session of one day, and close it.

        Parameters
        ----------
        before
            What nights had learnt before this one.
        bars
            The day's bars, which the night does not know.
        """
        day = Day(date=known.context.asof, known=known)
        self._corporate_actions(known, bars)
        day.inputs = self.memory.inputs(before)
        tables = self._night(known, day)
        if tables is not None and self.memory.standing.state.allows_reduction:
            self._session(known, tables, bars, day)
        self._close(day, bars)
        return day

    # -- the night ------------------------------------------------------------------------

    def _night(self, known: KnownNight, day: Day) -> Tables | None:
        standing = self.memory.standing
        for name, causes in known.found:
            found = causes if self._world.has_regime_gate or name != _REGIME else ()
            standing.observe(Chain.NIGHT, found, domain=STEP_BY_NAME[name].cause_domain)
        beliefs_row(known, day)
        if known.halted_at is not None:
            day.halted_at = known.halted_at
            return None
        tables: dict[str, pl.DataFrame] = {**known.tables, **day.inputs}
        day.tables = tables
        if not self._world.has_regime_gate:
            tables[_REGIME] = tables[_REGIME].with_columns(
                gross_multiplier=pl.lit(1.0), is_reduce_only=pl.lit(value=False)
            )
        try:
            return self._rest_of_night(known, tables, day)
        except DataRejected as refusal:
            if refusal.reason_code.severity not in (Severity.HALT, Severity.STOP):
                raise
            self._raise(Chain.NIGHT, cause_of(refusal.reason_code, refusal.detail))
        except SystemHalt as halt:
            self._stop(Chain.NIGHT, halt)
        day.halted_at = day.halted_at or "night"
        return None

    def _rest_of_night(
        self, known: KnownNight, tables: dict[str, pl.DataFrame], day: Day
    ) -> Tables | None:
        context, memory = known.context, self.memory
        tables["cvar_coverage"] = coverage.cover_risk(tables, context)
        if self._is_refuted(tables["cvar_coverage"], day):
            day.halted_at = COVERAGE_BLOCKS
            return None
        lives = capital.advance_lifecycle(tables, context)
        tables["strategy_lifecycle_log"] = lives
        causes = capital.lifecycle_causes(lives)
        self._observe_step("strategy_lifecycle_log", causes)
        if causes:
            day.halted_at = "strategy_lifecycle_log"
        day.moves = stage_moves(memory.tables["previous_lifecycle"], lives)
        memory.remember("previous_lifecycle", lives)
        if causes:
            return None
        tables |= _scenarios_and_costs(known, tables)
        self._observe_step("stress_scenarios", ())
        forecasts = coverage.forecast_risk(tables, context)
        day.forecasts = forecasts
        memory.add("past_risk_forecasts", forecasts.with_columns(asof=pl.lit(context.asof)))
        tables["vetoes"] = self._vetoes(known, tables)
        memory.remember("previous_vetoes", tables["vetoes"])
        memory.standing.observe(Chain.NIGHT, (), domain=PROVED_BY_PUBLISHING)
        return tables

    def _vetoes(self, known: KnownNight, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
        if not self._world.has_vetoes:
            return pl.DataFrame(schema=VETO_SCHEMA)
        tables["veto_findings"] = find_vetoes(
            tables, known.context, without_last_bar=known.without_last_bar or None
        )
        return settle(tables, known.context)

    def _is_refuted(self, found: pl.DataFrame, day: Day) -> bool:
        is_mine = (pl.col("scope") == coverage.WHOLE_BOOK) & (
            pl.col("test") == CoverageTest.E_PROCESS.value
        )
        told = found.filter(is_mine).row(0, named=True)
        day.row["e_value"], day.row["e_outcomes"] = told["value"], told["outcomes"]
        return self._world.has_coverage_block and not told["passed"]

    def _observe_step(self, name: str, causes: tuple[Cause, ...]) -> None:
        domain = STEP_BY_NAME[name].cause_domain
        self.memory.standing.observe(Chain.NIGHT, causes, domain=domain)

    def _raise(self, chain: Chain, cause: Cause) -> None:
        self.memory.standing.observe(chain, (cause,), domain={cause.reason_code})

    def _stop(self, chain: Chain, halt: SystemHalt) -> None:
        stop = SystemStateName.STOP_SYSTEM
        self._raise(chain, cause_of(halt.reason_code, halt.detail, state=stop))

    # -- the session ----------------------------------------------------------------------

    def _session(self, known: KnownNight, tables: Tables, bars: pl.DataFrame, day: Day) -> None:
        snapshot = self.snapshot(known, tables)
        quotes, instant = self.first_quotes(snapshot, bars)
        self.memory.standing.observe(Chain.LOOP, (), domain=PROVED_BY_OPENING)
        told = replace(
            opening_state(snapshot),
            cycle_id=f"survival-{day.date.isoformat()}-000000",
            timestamp=instant,
            system=self.memory.standing.state,
        )
        try:
            decision, _ = decide(
                snapshot, quotes, self.memory.book, told, self._policy, solver=self._solver
            )
            traded, ledger = self._trade(snapshot, decision, bars)
        except SystemHalt as halt:
            self._stop(Chain.LOOP, halt)
            return
        day.decision = decision
        if decision.found.causes:
            domain = {cause.reason_code for cause in decision.found.causes}
            self.memory.standing.observe(Chain.LOOP, decision.found.causes, domain=domain)
        self.memory.standing.observe(Chain.LOOP, (), domain=PROVED_BY_ENDING)
        self._account(snapshot, decision, traded, ledger, bars, day)

    def snapshot(self, known: KnownNight, tables: Tables) -> Snapshot:
        """Lay the night's tables out as a session opens them, the models hot."""
        snapshot = snapshot_from_tables(
            {name: tables[name] for name in SNAPSHOT_TABLES},
            snapshot_id=known.context.cycle_id,
            asof=known.context.asof,
            policy=self._policy,
        )
        if known.fold is None:
            return snapshot
        last: date = known.context.asof
        models = NightModels(
            session=last, symbols=known.symbols, packed_sha256="", fold=WholeFold(known.fold)
        )
        return replace(snapshot, models=day_models(models, snapshot.symbols, snapshot.last_close))

    def first_quotes(self, snapshot: Snapshot, bars: pl.DataFrame) -> tuple[Quotes, datetime]:
        """Quote the open of the day's bars, as the day's first cycle sees it, and say when."""
        world, loop = self._world, self._policy.loop
        span = SessionSpan(
            day=snapshot.asof,
            cycles=1,
            period_seconds=loop.period_seconds or 1.0,
            seed=world.seed,
            day_cycles=loop.day_cycles,
        )
        stream = bridged_stream(
            snapshot.symbols,
            bars,
            span,
            last_closes=_known(snapshot.symbols, snapshot.last_close),
            half_spread_bps=_known(snapshot.symbols, 0.5 * snapshot.spread_bps),
            defects=world.defects,
        )
        instant = span.instant(0)
        return stream.quotes_at(0).within(open_mask(snapshot.asset_class, instant)), instant

    def _trade(
        self, snapshot: Snapshot, decision: CycleDecision, bars: pl.DataFrame
    ) -> tuple[Traded, SessionLedger]:
        memory = self.memory
        ledger = SessionLedger(snapshot, opening=memory.values, flows=memory.flows)
        memory.flows = {}
        self._held = _quantities(memory.book)
        passed = transfer_changes(decision)
        book = apply_changes(memory.book.with_peak(decision.valued.nav_usd), passed)
        ledger.count_changes(passed)
        ledger.count_gross(decision.valued.weights)
        traded = trade_session(snapshot, decision, book, bar_prices(bars), policy=self._policy)
        self._kept = _quantities(book)
        memory.book = apply_changes(book, traded.changes)
        ledger.count_changes(traded.changes)
        return traded, ledger

    def _account(
        self,
        snapshot: Snapshot,
        decision: CycleDecision,
        traded: Traded,
        ledger: SessionLedger,
        bars: pl.DataFrame,
        day: Day,
    ) -> None:
        memory, marks = self.memory, decision.valued.marks
        opens = dict(zip(snapshot.symbols, marks.tolist(), strict=True))
        closes = self._closes(bars, opens)
        at_close = value_book(
            snapshot,
            decision.quotes,
            memory.book,
            np.array([closes.get(symbol, np.nan) for symbol in snapshot.symbols]),
            has_quote=np.zeros(len(snapshot.symbols), dtype=np.bool_),
        )
        results = ledger.results(memory.book, at_close, self._policy)
        explained = self._explained(opens, closes)
        for name, gained in traded.explained.items():
            explained[name] = explained.get(name, 0.0) + gained
        nav = at_close.nav_usd
        rows = [(day.date, r.strategy_id, r.pnl, r.gross, r.volatility_annual) for r in results]
        memory.add("strategy_returns", rows)
        accounts = account_rows(day.date, results, traded, explained=explained, nav_usd=nav)
        memory.add("session_accounts", accounts)
        memory.add("recorded_fills", traded.fills)
        memory.add("passive_orders", traded.passive)
        memory.values = {r.strategy_id: r.value_usd for r in results}
        memory.marks |= {s: price for s, price in opens.items() if np.isfinite(price)}
        scenarios, places = snapshot.scenarios, snapshot.places
        after = measure_book(at_close.net[places], scenarios, config=self._policy.cvar)
        day.row |= decision_row(decision) | {
            "fills": traded.n_fills,
            "turnover": traded.turnover / nav,
            "trading_cost": traded.spent / nav,
            "cvar_held": after.current,
            "cvar_gate_held": after.gate,
        }
        day.strategies = strategy_rows(snapshot, results)
        day.reasons = reason_counts(decision)

    def _explained(
        self, opens: Mapping[str, float], closes: Mapping[str, float]
    ) -> dict[str, float]:
        # What was held moved from the last marks to the first quote, what was kept to the close.
        out, self.memory.income = self.memory.income, {}
        for (name, symbol), quantity in self._held.items():
            last = self.memory.marks.get(symbol, opens[symbol])
            out[name] = out.get(name, 0.0) + quantity * (opens[symbol] - last)
        for (name, symbol), quantity in self._kept.items():
            out[name] = out.get(name, 0.0) + quantity * (closes[symbol] - opens[symbol])
        return out

    # -- overnight and the close ------------------------------------------------------------

    def _corporate_actions(self, known: KnownNight, bars: pl.DataFrame) -> None:
        memory = self.memory
        if not memory.book.holdings:
            return
        held = sorted({row.symbol for row in memory.book.holdings})
        seen = known.tables["bars"].filter(
            pl.col("symbol").is_in(held), pl.col("close").is_finite()
        )
        before = seen.group_by("symbol").agg(pl.col("close", "adj_close").last())
        memory.book, changes, ratios = act_on_corporate_actions(
            memory.book, bars, before, split_tolerance=self._policy.quality.split_match_tolerance
        )
        for symbol, ratio in ratios.items():
            if symbol in memory.marks:
                memory.marks[symbol] /= ratio
        for change in changes:
            for name, part in change.shares:
                cash = part * float(change.cash_usd)
                memory.flows[name] = memory.flows.get(name, 0.0) + cash
                memory.income[name] = memory.income.get(name, 0.0) + cash

    @staticmethod
    def _closes(bars: pl.DataFrame, marks: Mapping[str, float]) -> dict[str, float]:
        finite = bars.filter(pl.col("close").is_finite())
        return {**marks, **dict(finite.select("symbol", "close").iter_rows())}

    def _close(self, day: Day, bars: pl.DataFrame) -> None:
        memory = self.memory
        memory.marks = self._closes(bars, memory.marks)
        nav = float(memory.book.cash_usd)
        gross = 0.0
        for row in memory.book.holdings:
            value = float(row.quantity) * memory.marks[row.symbol]
            nav, gross = nav + value, gross + abs(value)
        memory.book = memory.book.with_peak(nav)
        state = memory.standing.state
        day.row |= {
            "date": day.date,
            "state": state.name.value,
            "causes": sorted({cause.reason_code.value for cause in state.causes}),
            "halted_at": day.halted_at,
            "nav_usd": nav,
            "cash": float(memory.book.cash_usd) / nav,
            "gross": gross / nav,
            "drawdown": 1.0 - nav / float(memory.book.peak_nav_usd),
        }
        memory.halted = memory.halted + 1 if state.name.is_latched else 0

    def remove(self, symbol: str, *, half_spread: float, day: date) -> None:
        """Realise a position at the last price, less half a spread, and take the symbol out."""
        memory, price = self.memory, self.memory.marks.get(symbol)
        mine = [row for row in memory.book.holdings if row.symbol == symbol]
        units = sum((row.quantity for row in mine), Decimal(0))
        paid_each = Decimal(repr((price or 0.0) * (1.0 - half_spread)))
        for row in mine if price is not None else ():
            # One strategy after the other: shares of a whole would leave dust behind.
            cash = (row.quantity * paid_each).quantize(Decimal("0.00000001"))
            name = row.strategy_id
            change = BookChange(
                symbol=symbol, quantity=-row.quantity, cash_usd=cash, shares=((name, 1.0),)
            )
            memory.book = apply_changes(memory.book, (change,))
            memory.flows[name] = memory.flows.get(name, 0.0) + float(cash)
        memory.removed = tuple(sorted({*memory.removed, symbol}))
        memory.standing.act(day, "remove", f"{symbol}: {units} units realised at {price}")


def _scenarios_and_costs(known: KnownNight, tables: Tables) -> Tables:
    # They depend on the book by what is held alone: walks that hold the same share them.
    symbols = stress.scenario_symbols(tables)
    if symbols not in known.shared:
        scenarios = stress.build_stress(tables, known.context)
        costs = capital.estimate_market({**tables, "stress_scenarios": scenarios}, known.context)
        known.shared[symbols] = {"stress_scenarios": scenarios, "market_impact": costs}
    return known.shared[symbols]


def _quantities(book: Book) -> dict[tuple[str, str], float]:
    return {(row.strategy_id, row.symbol): float(row.quantity) for row in book.holdings}


def _known(symbols: tuple[str, ...], values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {s: float(v) for s, v in zip(symbols, values, strict=True) if np.isfinite(v)}
