"""Drills of what is bought: the solver, the tail, the named limits, the vetoes."""

from dataclasses import replace
from typing import Any

import numpy as np

from instgov_dagster.capital.auction.engine.hot import HotSolver
from instgov_dagster.capital.auction.instance import AuctionInstance
from instgov_dagster.capital.auction.solver import AuctionSolution, unsolved
from instgov_dagster.capital.risk import BookProposal, judge_book
from instgov_dagster.loop.decision.conditions import execution_regime
from instgov_dagster.loop.live.opening import open_snapshot
from instgov_dagster.loop.platform import Platform
from instgov_dagster.loop.proving.drills.catalog import CATALOG
from instgov_dagster.loop.proving.drills.stage import DRILL_DAY, Stage
from instgov_dagster.vocabulary.audit import OrderSide
from instgov_dagster.vocabulary.governance import ALL, Veto

_LIE = 1e-4


class FailingSolver:
    """A solver that finds nothing."""

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Answer that nothing was found."""
        del instance
        return unsolved("the solver failed")

    def restart(self) -> None:
        """Forget nothing, for nothing is kept."""


class LyingSolver:
    """A solver that answers a little more than the caps allow, and calls it solved."""

    def __init__(self) -> None:
        self._honest = HotSolver()

    def solve(self, instance: AuctionInstance) -> AuctionSolution:
        """Answer the best weights and a little more of each: the gap alone would not tell."""
        solution = self._honest.solve(instance)
        return replace(solution, weights=solution.weights + _LIE * (solution.weights > 0.0))

    def restart(self) -> None:
        """Start cold."""
        self._honest.restart()


def solver_failure(stage: Stage) -> None:
    """Decide a cycle with a solver that fails."""
    _require_no_purchase(stage, solver=FailingSolver())


def solver_lie(stage: Stage) -> None:
    """Decide a cycle with a solver that lies."""
    _require_no_purchase(stage, solver=LyingSolver())


def standing_veto(stage: Stage) -> None:
    """Decide a cycle while a veto stands on everything."""
    code = CATALOG["standing_veto"].reason_code
    veto = Veto(
        strategy_id=ALL,
        symbol=ALL,
        trigger="drill",
        reason_code=code,
        raised_on=DRILL_DAY,
        statistic=1.0,
        threshold=0.95,
        n=20,
    )
    _require_no_purchase(stage, vetoes=(veto,))


def _require_no_purchase(stage: Stage, **told: Any) -> None:
    turn = stage.fold(**told)
    bought = [order.symbol for order in turn.orders if order.side is OrderSide.BUY]
    stage.failures += [f"{symbol} was to be bought" for symbol in bought]
    stage.statistic = float(len(bought))


def _limited(stage: Stage, section: str, **numbers: Any) -> Platform:
    policy = stage.platform.policy
    held = getattr(policy, section)
    changed: dict[str, Any] = {section: replace(held, **numbers)}
    return replace(stage.platform, policy=replace(policy, **changed))


def cvar_breach(stage: Stage) -> None:
    """Halve the limit under the book that is held."""
    held = stage.fold().decision.found.verdict.risk_before.gate
    tight = _limited(stage, "cvar", portfolio_limit=0.5 * held, scale_on_breach=True)
    stage.lead(tight, cycles=3)
    after = stage.fold(platform=tight).decision.found.verdict.risk_before.gate
    stage.statistic = after / held
    if not after < held:
        stage.failures.append(f"the tail must fall from {held}, was {after}")


def cvar_scale_refused(stage: Stage) -> None:
    """Halve the limit and refuse to scale."""
    held = stage.fold().decision.found.verdict.risk_before.gate
    stage.lead(_limited(stage, "cvar", portfolio_limit=0.5 * held, scale_on_breach=False))


def marginal_cvar(stage: Stage) -> None:
    """Judge the auction's orders by a quarter of what the least of them adds to the tail."""
    found = stage.fold().decision.found
    least = min(v.delta_cvar for v in found.verdict.orders if v.delta_cvar > 0.0)
    _judge(stage, _limited(stage, "cvar", marginal_limit=0.25 * least))


def leverage(stage: Stage) -> None:
    """Judge the auction's orders by the gross that is held."""
    held = float(np.abs(stage.fold().decision.valued.net).sum())
    _judge(stage, _limited(stage, "limits", leverage=held))


def _judge(stage: Stage, tight: Platform) -> None:
    # What comes before keeps these limits by itself, so orders never meet these gates: they are
    # shown the orders of an auction under the looser limit.
    decision = stage.fold().decision
    snapshot = open_snapshot(stage.platform, DRILL_DAY)
    valued, draft = decision.valued, decision.found.draft
    before = valued.net[snapshot.places]
    proposal = BookProposal(
        symbols=draft.symbols,
        before=before,
        after=draft.after(before),
        net_gain=np.ones(len(draft.symbols)),
        correlations=decision.found.bids.book.correlation[snapshot.places],
        sectors=tuple(snapshot.sector[n] for n in snapshot.places),
        is_forced=np.zeros(len(draft.symbols), dtype=np.bool_),
        drawdown=valued.drawdown,
        hurdle=tight.policy.auction.hurdle,
        regime=execution_regime(snapshot),
    )
    wanted = np.flatnonzero(proposal.after > before)
    verdict = judge_book(
        proposal, snapshot.scenarios, config=tight.policy.cvar, limits=tight.policy.limits
    )
    for order in verdict.orders:
        stage.codes.update(code for gate in order.gates for code in gate.reason_codes)
    passed = set(verdict.sequence) & set(wanted.tolist())
    stage.failures += [f"{draft.symbols[i]} was let grow" for i in sorted(passed)]
    stage.statistic = float(len(wanted))
    if not len(wanted):
        stage.failures.append("no order was to be judged: the drill shows nothing")


def drawdown(stage: Stage) -> None:
    """Allow half of what the book has lost from its peak.

    A veto that stands while the limit is crossed keeps a session from asking for more at all, so
    the gate is shown the orders of an auction that does not know it.
    """
    lost = stage.fold().decision.valued.drawdown
    tight = _limited(stage, "limits", drawdown=0.5 * lost)
    _judge(stage, tight)
    stage.lead(tight)
    stage.statistic = lost


def correlation(stage: Stage) -> None:
    """Allow only what moves against the book."""
    _gate(stage, "limits", correlation=1e-6)


def sector(stage: Stage) -> None:
    """Allow no sector more than a millionth."""
    _gate(stage, "limits", sector=1e-6)


def _gate(stage: Stage, section: str, **numbers: float) -> None:
    limited = _limited(stage, section, **numbers)
    ((_, limit),) = numbers.items()
    stage.statistic = limit
    stage.lead(limited)
