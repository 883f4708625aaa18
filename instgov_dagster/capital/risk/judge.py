"""Judge a proposed change of the book: jointly, order by order, prefix by prefix (phase 5)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.book import BookRisk, measure_book, take_measures
from instgov_dagster.capital.cvar import book_losses, cvar, cvar_rows, delta_cvars
from instgov_dagster.capital.risk.gates import (
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
from instgov_dagster.capital.risk.proposal import BookProposal, BookVerdict, OrderVerdict
from instgov_dagster.capital.scenarios import ScenarioSet
from instgov_dagster.vocabulary.capital import GateResult
from instgov_dagster.vocabulary.policy.capital import CVaRConfig, RiskLimits

# Prefixes are measured by adding columns up, which may differ from measuring the book itself by
# rounding: this near to the limit, the book itself is measured.
_ROUNDING = 1e-12


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sitting:
    # One round: the final book with the orders still active, and what each of them adds to it.
    # `losses` holds one vector for every distinct matrix of scenarios, the current one first.
    weights: NDArray[np.float64]
    losses: tuple[NDArray[np.float64], ...]
    joint: GateResult
    gross: float
    sectors: NDArray[np.float64]


class _Bench:
    # A proposal on trial: orders leave it until all that is left passes.

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
        names, self.sector_of = np.unique(np.array(proposal.sectors), return_inverse=True)
        self.sector_names = [str(name) for name in names]
        self.matrices = tuple({id(m.returns): m.returns for m in scenarios.measures}.values())
        place = {id(matrix): k for k, matrix in enumerate(self.matrices)}
        self.taken = [(place[id(m.returns)], m.multiplier) for m in scenarios.measures]

    def book(self, active: list[int]) -> NDArray[np.float64]:
        weights = self.proposal.before.copy()
        weights[active] = self.proposal.after[active]
        return weights

    def sector_gross(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        size = len(self.sector_names)
        sums = np.bincount(self.sector_of, weights=np.abs(weights), minlength=size)
        return sums.astype(np.float64)

    def sit(self, active: list[int]) -> _Sitting:
        weights = self.book(active)
        risk = measure_book(weights, self.scenarios, config=self.config)
        return _Sitting(
            weights=weights,
            losses=tuple(book_losses(matrix, weights) for matrix in self.matrices),
            joint=gate_cvar(self.before, risk, config=self.config),
            gross=float(np.abs(weights).sum()),
            sectors=self.sector_gross(weights),
        )

    def settle(self, active: list[int]) -> tuple[list[int], dict[int, OrderVerdict]]:
        # At most one round an order: every round but the last sends at least one away.
        verdicts: dict[int, OrderVerdict] = {}
        while True:
            sitting = self.sit(active)
            judged = self.judge(active, sitting)
            verdicts |= judged
            leaving = [i for i in active if not all(gate.passed for gate in judged[i].gates[1:])]
            if not leaving and not sitting.joint.passed:
                # The orders that add to the tail leave; where none does, together all do.
                leaving = [i for i in active if judged[i].delta_cvar > 0.0] or active
            if not leaving:
                prefixes = self.prefixes(active, judged)
                verdicts |= {i: _with_gate(judged[i], gate) for i, gate in prefixes.items()}
                leaving = [i for i, gate in prefixes.items() if not gate.passed][:1]
            for i in leaving:
                share = self.passing_share(i, sitting)
                verdicts[i] = replace(verdicts[i], passed=False, passing_share=share)
            if not leaving:
                return active, verdicts
            gone = set(leaving)
            active = [i for i in active if i not in gone]

    def judge(self, active: list[int], sitting: _Sitting) -> dict[int, OrderVerdict]:
        columns = np.array(active, dtype=np.intp)
        deltas = delta_cvars(
            self.matrices[0],
            sitting.losses[0],
            columns,
            self.change[columns],
            confidence_level=self.config.confidence_level,
        )
        verdicts = {}
        for i, delta in zip(active, deltas.tolist(), strict=True):
            gates = (sitting.joint, *self.own_gates(i, sitting, delta, 1.0))
            verdicts[i] = OrderVerdict(
                symbol=self.proposal.symbols[i],
                passed=all(gate.passed for gate in gates),
                delta_cvar=delta,
                passing_share=1.0,
                gates=gates,
            )
        return verdicts

    def own_gates(
        self, i: int, sitting: _Sitting, delta: float, share: float
    ) -> tuple[GateResult, ...]:
        # The gates of order i at a share of its size, last in on the sitting's book.
        before = float(self.proposal.before[i])
        held, wanted = abs(before), abs(before + share * float(self.change[i]))
        sector = int(self.sector_of[i])
        rest = sitting.gross - abs(float(sitting.weights[i]))
        same = float(sitting.sectors[sector]) - abs(float(sitting.weights[i]))
        is_increase, limits = bool(self.is_increase[i]), self.limits
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
            gate_leverage(rest + held, rest + wanted, limits=limits),
            gate_drawdown(self.proposal.drawdown, is_increase=is_increase, limits=limits),
            gate_correlation(
                float(self.proposal.correlations[i]), is_increase=is_increase, limits=limits
            ),
            gate_sector(
                same + held, same + wanted, sector=self.sector_names[sector], limits=limits
            ),
        )

    def passing_share(self, i: int, sitting: _Sitting) -> float:
        # The largest share of the order its gates let through, by bisection: the CVaR it adds is
        # convex in its size and zero at zero, so the shares that pass reach from zero to one end.
        # The joint gate and the prefix gate ask the same of a book: CVaR <= max(limit, before).
        level, change = self.config.confidence_level, float(self.change[i])
        columns = [matrix[:, i] * change for matrix in self.matrices]
        pairs = zip(sitting.losses, columns, strict=True)
        without = [losses + column for losses, column in pairs]
        alone = cvar(without[0], confidence_level=level)

        def measure(k: int, share: float) -> float:
            return cvar(without[k] - share * columns[k], confidence_level=level)

        def passes(share: float) -> bool:
            first = measure(0, share)
            if not all(gate.passed for gate in self.own_gates(i, sitting, first - alone, share)):
                return False
            values = [first, *(measure(k, share) for k in range(1, len(columns)))]
            return gate_prefix(self.before.gate, self.worst(values), config=self.config).passed

        low, high = 0.0, 1.0
        if not passes(0.5**self.limits.passing_share_steps):
            return 0.0
        for _ in range(self.limits.passing_share_steps):
            middle = (low + high) / 2.0
            low, high = (middle, high) if passes(middle) else (low, middle)
        return low

    def worst(self, values: list[float]) -> float:
        # The largest measure, from the CVaR on each distinct matrix.
        return max(
            values[k] if multiplier == 1.0 else multiplier * max(values[k], 0.0)
            for k, multiplier in self.taken
        )

    def sequence(self, active: list[int], verdicts: dict[int, OrderVerdict]) -> list[int]:
        # Reductions first, and within each kind what relieves the tail most.
        return sorted(
            active,
            key=lambda i: (bool(self.is_increase[i]), verdicts[i].delta_cvar, verdicts[i].symbol),
        )

    def prefixes(
        self, active: list[int], verdicts: dict[int, OrderVerdict]
    ) -> dict[int, GateResult]:
        order = self.sequence(active, verdicts)
        change, level = self.change[order][:, None], self.config.confidence_level
        columns = [
            cvar_rows(
                book_losses(matrix, self.proposal.before)
                - np.cumsum(matrix.T[order] * change, axis=0),
                confidence_level=level,
            ).tolist()
            for matrix in self.matrices
        ]
        limit = max(self.before.gate, self.config.portfolio_limit)
        gates, weights = {}, self.proposal.before.copy()
        for place, i in enumerate(order):
            weights[i] = self.proposal.after[i]
            value = self.worst([column[place] for column in columns])
            if abs(value - limit) <= _ROUNDING:
                taken = take_measures(weights, self.scenarios, confidence_level=level)
                value = max(measure for _, measure in taken)
            gates[i] = gate_prefix(self.before.gate, value, config=self.config)
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
        return BookVerdict(
            symbols=self.proposal.symbols,
            weights=weights,
            sequence=tuple(self.sequence(active, verdicts)),
            risk_before=self.before,
            risk_after=after,
            book_gates=(
                gate_cvar(self.before, after, config=self.config),
                *self.named_gates(active, weights),
            ),
            orders=tuple(verdicts[i] for i in sorted(verdicts)),
        )

    def named_gates(
        self, active: list[int], weights: NDArray[np.float64]
    ) -> tuple[GateResult, ...]:
        # The limits beside CVaR on the final book; of the sectors, the one with the least room.
        before, limits = self.proposal.before, self.limits
        grown = [i for i in active if self.is_increase[i]]
        sectors = [
            gate_sector(float(held), float(gross), sector=name, limits=limits)
            for name, held, gross in zip(
                self.sector_names,
                self.sector_gross(before),
                self.sector_gross(weights),
                strict=True,
            )
        ]
        return (
            gate_leverage(float(np.abs(before).sum()), float(np.abs(weights).sum()), limits=limits),
            gate_drawdown(self.proposal.drawdown, is_increase=bool(grown), limits=limits),
            gate_correlation(
                max((float(self.proposal.correlations[i]) for i in grown), default=0.0),
                is_increase=bool(grown),
                limits=limits,
            ),
            *sorted(sectors, key=_room)[:1],
        )


def _room(gate: GateResult) -> float:
    return -np.inf if gate.headroom is None else gate.headroom


def _with_gate(verdict: OrderVerdict, gate: GateResult) -> OrderVerdict:
    # Every gate before the last one has opened: only those orders come this far.
    return replace(verdict, passed=gate.passed, gates=(*verdict.gates, gate))
