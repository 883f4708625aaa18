"""Judge a proposed change of the book: jointly, order by order, prefix by prefix (phase 5)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.capital.book import BookRisk, measure_book, take_measures
from instgov_dagster.capital.cvar import book_losses, cvar
from instgov_dagster.capital.gates import (
    gate_correlation,
    gate_cvar,
    gate_drawdown,
    gate_execution,
    gate_hurdle,
    gate_leverage,
    gate_marginal,
    gate_prefix,
    gate_sector,
)
from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.vocabulary.capital import ExecutionRegime, GateResult
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits
from instgov_dagster.vocabulary.reasons import ReasonCode

#: The symbol of a gate that judges the whole book.
BOOK: Final = "*"

#: The columns of `BookVerdict.to_frame`.
VERDICT_SCHEMA: Final = pl.Schema(
    {
        "symbol": pl.String(),
        "gate": pl.String(),
        "passed": pl.Boolean(),
        "value": pl.Float64(),
        "limit_value": pl.Float64(),
        "headroom": pl.Float64(),
        "reason_codes": pl.List(pl.String()),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookProposal:
    """What would be done to the book, arrays of shape ``(n_symbols,)`` in ``symbols``' order.

    ``before`` and ``after`` are weights; ``net_gain`` what each order is expected to earn after
    its costs, a fraction of net asset value; ``correlations`` with the book held; ``sectors`` the
    sector of each symbol; ``is_forced`` whether a cap forces the symbol's reduction; ``drawdown``
    the book's, from its peak, a loss positive; ``hurdle`` lambda; ``regime`` how the market is
    traded: in a crisis only a reduction that takes CVaR off goes.
    """

    symbols: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    net_gain: NDArray[np.float64]
    correlations: NDArray[np.float64]
    sectors: tuple[str, ...]
    is_forced: NDArray[np.bool_]
    drawdown: float
    hurdle: float
    regime: ExecutionRegime

    def __post_init__(self) -> None:
        n = len(self.symbols)
        for name in ("before", "after", "net_gain", "correlations", "is_forced"):
            if getattr(self, name).shape != (n,):
                raise ValueError(
                    f"BookProposal.{name} must have shape ({n},), was {getattr(self, name).shape}"
                )
        if len(self.sectors) != n:
            raise ValueError(f"BookProposal.sectors must have {n} rows, was {len(self.sectors)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderVerdict:
    """What the gates say of one order, and the largest share of it that would have passed."""

    symbol: str
    passed: bool
    delta_cvar: float
    passing_share: float
    gates: tuple[GateResult, ...]

    @property
    def reason_codes(self) -> tuple[ReasonCode, ...]:
        """Why it failed, each reason once; why it passed where it did."""
        wanted = [gate for gate in self.gates if gate.passed == self.passed]
        return tuple(dict.fromkeys(code for gate in wanted for code in gate.reason_codes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookVerdict:
    """The verdict on a proposal: the book it leads to, and every gate on the way.

    ``weights`` (n_symbols,) is the book with the approved orders alone; ``sequence`` the numbers
    of the approved symbols in the order they may be sent, reductions first; ``orders`` one
    verdict for every symbol that would have traded.
    """

    symbols: tuple[str, ...]
    weights: NDArray[np.float64]
    sequence: tuple[int, ...]
    risk_before: BookRisk
    risk_after: BookRisk
    book_gates: tuple[GateResult, ...]
    orders: tuple[OrderVerdict, ...]

    def order(self, symbol: str) -> OrderVerdict | None:
        """Look up the verdict on one symbol's order; ``None`` where it had none."""
        return next((order for order in self.orders if order.symbol == symbol), None)

    def to_frame(self) -> pl.DataFrame:
        """Write one row a gate; the book's gates have the symbol ``*``."""
        rows = [(BOOK, gate) for gate in self.book_gates]
        rows += [(order.symbol, gate) for order in self.orders for gate in order.gates]
        return pl.DataFrame(
            [
                (
                    symbol,
                    gate.name,
                    gate.passed,
                    gate.value,
                    gate.limit,
                    gate.headroom,
                    [code.value for code in gate.reason_codes],
                )
                for symbol, gate in rows
            ],
            schema=VERDICT_SCHEMA,
            orient="row",
        )


def judge_book(
    proposal: BookProposal, scenarios: ScenarioSet, *, config: CVaRConfig, limits: RiskLimits
) -> BookVerdict:
    """Judge a proposal and keep the orders that pass every gate (roadmap 0.5, 5.3, 5.4).

    Each order is judged last in on the final book; an order that fails leaves, and what remains
    is judged again as a new final book, until all that is left passes: jointly, each order, and
    each prefix of the list with reductions first. No expected return enters the CVaR gates, so
    none can open one. Numbers that are not finite reject before any comparison.

    Parameters
    ----------
    proposal
        The book before and after, and what the orders are worth.
    scenarios
        A set whose symbols are the proposal's.

    Raises
    ------
    ValueError
        If the symbols of the scenarios are not the proposal's.
    """
    if scenarios.symbols != proposal.symbols:
        raise ValueError("scenarios must have the proposal's symbols, in its order")
    bench = _Bench(proposal, scenarios, config, limits)
    traded = np.flatnonzero(bench.change != 0.0).tolist()  # NaN differs from 0 and is judged
    wanted = measure_book(proposal.after, scenarios, config=config)
    if not (bench.before.is_finite and wanted.is_finite):
        return bench.conclude([], {i: bench.blind_order(i, wanted) for i in traded})
    return bench.conclude(*bench.settle(traded))


class _Bench:
    # One sitting over a proposal: orders leave it until all that is left passes.

    def __init__(
        self,
        proposal: BookProposal,
        scenarios: ScenarioSet,
        config: CVaRConfig,
        limits: RiskLimits,
    ) -> None:
        self.proposal, self.scenarios = proposal, scenarios
        self.config, self.limits = config, limits
        self.before = measure_book(proposal.before, scenarios, config=config)
        self.change = proposal.after - proposal.before
        self.is_increase = np.abs(proposal.after) > np.abs(proposal.before)
        self.sectors = np.array(proposal.sectors, dtype=np.str_)

    def book(self, active: list[int]) -> NDArray[np.float64]:
        weights = self.proposal.before.copy()
        weights[active] = self.proposal.after[active]
        return weights

    def settle(self, active: list[int]) -> tuple[list[int], dict[int, OrderVerdict]]:
        # At most one round an order: every round but the last sends at least one away.
        verdicts: dict[int, OrderVerdict] = {}
        while True:
            weights = self.book(active)
            risk = measure_book(weights, self.scenarios, config=self.config)
            joint = gate_cvar(self.before, risk, config=self.config)
            judged = {i: self.judge(i, weights, joint) for i in active}
            verdicts |= judged
            leaving = [i for i in active if not all(gate.passed for gate in judged[i].gates[1:])]
            if not leaving and not joint.passed:
                # The orders that add to the tail leave; where none does, together all do.
                leaving = [i for i in active if judged[i].delta_cvar > 0.0] or active
            if not leaving:
                prefixes = self.prefixes(active, judged)
                verdicts |= {i: _with_gate(judged[i], gate) for i, gate in prefixes.items()}
                leaving = [i for i, gate in prefixes.items() if not gate.passed][:1]
            for i in leaving:
                verdicts[i] = self.reject(i, verdicts[i], weights)
            if not leaving:
                return active, verdicts
            active = [i for i in active if i not in leaving]

    def judge(self, i: int, weights: NDArray[np.float64], joint: GateResult) -> OrderVerdict:
        losses = book_losses(self.scenarios.current.returns, weights)
        delta = self.delta(i, losses, 1.0)
        gates = (joint, *self.own_gates(i, weights, delta, 1.0))
        return OrderVerdict(
            symbol=self.proposal.symbols[i],
            passed=all(gate.passed for gate in gates),
            delta_cvar=delta,
            passing_share=1.0,
            gates=gates,
        )

    def delta(self, i: int, losses: NDArray[np.float64], share: float) -> float:
        # CVaR of the book with `share` of order i, less that without it; `losses` has all of it.
        column = self.scenarios.current.returns[:, i] * self.change[i]
        level = self.config.confidence_level
        without = losses + column
        part = losses if share == 1.0 else without - share * column
        return cvar(part, confidence_level=level) - cvar(without, confidence_level=level)

    def own_gates(
        self, i: int, weights: NDArray[np.float64], delta: float, share: float
    ) -> tuple[GateResult, ...]:
        # The gates of order i at a share of its size, last in on `weights`.
        without = weights.copy()
        without[i] = self.proposal.before[i]
        final = without.copy()
        final[i] += share * self.change[i]
        same = self.sectors == self.sectors[i]
        is_increase, limits = bool(self.is_increase[i]), self.limits
        gross = np.abs(without), np.abs(final)
        return (
            gate_marginal(delta, config=self.config),
            gate_hurdle(
                delta,
                float(share * self.proposal.net_gain[i]),
                hurdle=self.proposal.hurdle,
                is_forced=bool(self.proposal.is_forced[i]) and not is_increase,
                limits=limits,
            ),
            gate_execution(delta, is_increase=is_increase, regime=self.proposal.regime),
            gate_leverage(float(gross[0].sum()), float(gross[1].sum()), limits=limits),
            gate_drawdown(self.proposal.drawdown, is_increase=is_increase, limits=limits),
            gate_correlation(
                float(self.proposal.correlations[i]), is_increase=is_increase, limits=limits
            ),
            gate_sector(
                float(gross[0][same].sum()),
                float(gross[1][same].sum()),
                sector=self.proposal.sectors[i],
                limits=limits,
            ),
        )

    def reject(self, i: int, verdict: OrderVerdict, weights: NDArray[np.float64]) -> OrderVerdict:
        return OrderVerdict(
            symbol=verdict.symbol,
            passed=False,
            delta_cvar=verdict.delta_cvar,
            passing_share=self.passing_share(i, weights),
            gates=verdict.gates,
        )

    def passing_share(self, i: int, weights: NDArray[np.float64]) -> float:
        # The largest share of the order its gates let through, by bisection: the CVaR it adds is
        # convex in its size and zero at zero, so the shares that pass reach from zero to one end.
        # The joint gate and the prefix gate ask the same of a book: CVaR <= max(limit, before).
        losses = book_losses(self.scenarios.current.returns, weights)

        def passes(share: float) -> bool:
            delta = self.delta(i, losses, share)
            if not all(gate.passed for gate in self.own_gates(i, weights, delta, share)):
                return False
            final = weights.copy()
            final[i] = self.proposal.before[i] + share * self.change[i]
            level = self.config.confidence_level
            taken = take_measures(final, self.scenarios, confidence_level=level)
            gate = gate_prefix(
                self.before.gate, max(value for _, value in taken), config=self.config
            )
            return gate.passed

        low, high = 0.0, 1.0
        if not passes(0.5**self.limits.passing_share_steps):
            return 0.0
        for _ in range(self.limits.passing_share_steps):
            middle = (low + high) / 2.0
            low, high = (middle, high) if passes(middle) else (low, middle)
        return low

    def sequence(self, active: list[int], verdicts: dict[int, OrderVerdict]) -> list[int]:
        # Reductions first, and within each kind what relieves the tail most.
        return sorted(
            active,
            key=lambda i: (bool(self.is_increase[i]), verdicts[i].delta_cvar, verdicts[i].symbol),
        )

    def prefixes(
        self, active: list[int], verdicts: dict[int, OrderVerdict]
    ) -> dict[int, GateResult]:
        weights, gates = self.proposal.before.copy(), {}
        level = self.config.confidence_level
        for i in self.sequence(active, verdicts):
            weights[i] = self.proposal.after[i]
            taken = take_measures(weights, self.scenarios, confidence_level=level)
            prefix = max(value for _, value in taken)
            gates[i] = gate_prefix(self.before.gate, prefix, config=self.config)
        return gates

    def blind_order(self, i: int, wanted: BookRisk) -> OrderVerdict:
        # Nothing can be measured, so nothing passes and nothing is compared.
        return OrderVerdict(
            symbol=self.proposal.symbols[i],
            passed=False,
            delta_cvar=float("nan"),
            passing_share=0.0,
            gates=(gate_cvar(self.before, wanted, config=self.config),),
        )

    def conclude(self, active: list[int], verdicts: dict[int, OrderVerdict]) -> BookVerdict:
        weights = self.book(active)
        after = measure_book(weights, self.scenarios, config=self.config)
        gross = float(np.abs(self.proposal.before).sum()), float(np.abs(weights).sum())
        grows = bool(self.is_increase[active].any())
        book_gates = (
            gate_cvar(self.before, after, config=self.config),
            gate_leverage(*gross, limits=self.limits),
            gate_drawdown(self.proposal.drawdown, is_increase=grows, limits=self.limits),
        )
        return BookVerdict(
            symbols=self.proposal.symbols,
            weights=weights,
            sequence=tuple(self.sequence(active, verdicts)),
            risk_before=self.before,
            risk_after=after,
            book_gates=book_gates,
            orders=tuple(verdicts[i] for i in sorted(verdicts)),
        )


def _with_gate(verdict: OrderVerdict, gate: GateResult) -> OrderVerdict:
    return OrderVerdict(
        symbol=verdict.symbol,
        passed=verdict.passed and gate.passed,
        delta_cvar=verdict.delta_cvar,
        passing_share=verdict.passing_share,
        gates=(*verdict.gates, gate),
    )
