"""Run one auction down the ladder: validate, solve, check, certify, fall back, explain."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.certificate import (
    Duals,
    bound_of,
    check_weights,
    objective_value,
    read_duals,
    scale_into_limits,
    trading_costs,
)
from instgov_dagster.capital.auction.explain import (
    Prices,
    explain_bids,
    no_prices,
    price_bids,
    refuse_bids,
    shadow_prices,
)
from instgov_dagster.capital.auction.instance import (
    AuctionInstance,
    refuse_instance,
    require_feasible_cash,
    require_known_holdings,
)
from instgov_dagster.capital.auction.result import AuctionResult, Certificate
from instgov_dagster.capital.auction.solver import AuctionSolution, AuctionSolver
from instgov_dagster.capital.auction.values import AdjustedValues
from instgov_dagster.vocabulary.capital import AuctionStatus
from instgov_dagster.vocabulary.reasons import ReasonCode

_STATUS_CODES = {
    AuctionStatus.OPTIMAL: ReasonCode.AUCTION_OPTIMAL,
    AuctionStatus.CERTIFIED_SUBOPTIMAL: ReasonCode.AUCTION_CERTIFIED_SUBOPTIMAL,
    AuctionStatus.PREVIOUS_SCALED: ReasonCode.AUCTION_PREVIOUS_SCALED,
    AuctionStatus.NO_TRADE: ReasonCode.AUCTION_NO_TRADE,
}

_REFUSALS = (ReasonCode.BID_NOT_FINITE, ReasonCode.RISK_NOT_FINITE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answer:
    # One step of the ladder, with all that is known at it.
    status: AuctionStatus
    weights: NDArray[np.float64]
    prices: Prices
    certificate: Certificate | None
    lambda_star: float | None
    message: str
    codes: tuple[ReasonCode, ...]


def run_auction(
    instance: AuctionInstance,
    values: AdjustedValues,
    *,
    solver: AuctionSolver,
    previous: NDArray[np.float64] | None,
) -> AuctionResult:
    """Let every bid compete for capital (roadmap 0.3, 4.3, 4.4); no bid gets any by default.

    The steps of the ladder: OPTIMAL and CERTIFIED_SUBOPTIMAL need an answer that keeps every
    limit and a certificate within its gap, PREVIOUS_SCALED keeps the last target scaled into
    today's limits, NO_TRADE keeps what is held. All of them explain every bid.

    Parameters
    ----------
    instance
        The auction, from `build_instance`.
    values
        The attribution it was built from.
    solver
        Anything that solves auctions; nothing it says is believed before it is checked.
    previous
        The weights of the last target in the order of the bids, shape ``(n_bids,)``; ``None``
        where there is none.

    Raises
    ------
    SystemHalt
        ``RISK_NOT_FINITE`` where the holdings are not known; ``AUCTION_INFEASIBLE`` where not
        even cash is allowed.
    """
    require_known_holdings(instance)
    refusals = refuse_instance(instance)
    if refusals:
        return _conclude(instance, values, _no_trade(instance, "refused before solving", refusals))
    require_feasible_cash(instance)
    solution = solver.solve(instance)
    answer = _accept(instance, solution)
    if answer is None:
        answer = _fall_back(instance, previous, solution.message)
    return _conclude(instance, values, answer)


def quantise_weights(
    instance: AuctionInstance, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Round weights to the quantum; a bid at its cap or that does not trade stays bit by bit.

    Weights are rounded down, which never breaks a cap; where that leaves steps of a full group
    unused, the bids that lost most get a step back. What is within a hundredth below a step is on
    the step, so that two solves of one instance agree. A step costs at most itself times a price,
    so even where the penalty of forced sales is the price, the gap stays below its tolerance.
    """
    policy = instance.policy
    steps = round(1.0 / policy.weight_quantum)
    scaled = np.maximum(weights, 0.0) * steps
    floored = np.floor(scaled + policy.quantum_slack)
    lost = np.round((scaled - floored) / policy.quantum_slack)
    is_full = np.abs(weights - instance.caps) <= policy.feasibility_tolerance
    is_kept = np.abs(weights - instance.held) <= policy.feasibility_tolerance
    rounded = np.where(is_kept, instance.held, np.where(is_full, instance.caps, floored / steps))
    lost[is_full | is_kept] = 0.0
    return _give_back(instance, weights, _sell_no_more(instance, weights, rounded), lost)


def _sell_no_more(
    instance: AuctionInstance, exact: NDArray[np.float64], rounded: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Rounding down must not sell what the volume limit keeps, at a penalty: where a symbol sells
    # all it may, its largest bid takes what the others leave of the rest.
    least = instance.net_held - instance.sell_limits
    step = instance.policy.weight_quantum
    is_at_limit = np.abs(instance.net(exact) - least) <= step * instance.policy.quantum_slack
    for i in np.flatnonzero(is_at_limit & (least > 0.0)).tolist():
        bids = np.flatnonzero(instance.symbol_of == i)
        j = int(max(bids.tolist(), key=lambda j: (rounded[j], instance.bid_ids[j])))
        others = math.fsum(rounded[k] for k in bids.tolist() if k != j)
        wanted = min(float(least[i]) - others, instance.caps[j])
        above = instance.membership.groups_of(np.array([j]))[j]
        slack = instance.group_caps - instance.membership.sums(rounded)
        if wanted - rounded[j] <= slack[above].min(initial=np.inf):
            rounded[j] = wanted
    return rounded


def _give_back(
    instance: AuctionInstance,
    exact: NDArray[np.float64],
    rounded: NDArray[np.float64],
    lost: NDArray[np.float64],
) -> NDArray[np.float64]:
    # Largest remainders (Hamilton): one step each, while every cap above the bid has room for it.
    pairs, step = instance.membership, instance.policy.weight_quantum
    slack = instance.group_caps - pairs.sums(rounded)
    was_full = instance.group_caps - pairs.sums(exact) <= step * instance.policy.quantum_slack
    wanting = np.flatnonzero(pairs.touched(was_full) & (lost > 0.0))
    if not wanting.size:
        return rounded
    owner = instance.symbol_of[wanting]
    room = instance.buy_limits - instance.net(rounded) + instance.net_held
    left = dict(zip(owner.tolist(), room[owner].tolist(), strict=True))
    own = (instance.caps[wanting] - rounded[wanting]).tolist()
    free, groups_of = slack.tolist(), pairs.groups_of(wanting)
    least = step * (1.0 - instance.policy.quantum_slack)
    wishes = zip((-lost[wanting]).tolist(), wanting.tolist(), owner.tolist(), own, strict=True)
    for _, j, i, room_of_bid in sorted(wishes, key=lambda w: (w[0], instance.bid_ids[w[1]])):
        above = groups_of[j]
        if min(left[i], room_of_bid, *(free[g] for g in above)) >= least:
            rounded[j] = round((float(rounded[j]) + step) / step) * step
            left[i] -= step
            for g in above:
                free[g] -= step
    return rounded


def _accept(instance: AuctionInstance, solution: AuctionSolution) -> _Answer | None:
    # The solver's answer where it survives every check, None where it does not.
    shapes_fit = (
        solution.weights.shape == instance.held.shape
        and solution.group_prices.shape == instance.group_caps.shape
        and [share.shape[0] for share in solution.tail_weights]
        == [tail.returns.shape[0] for tail in instance.tails]
    )
    if not (solution.is_solved and shapes_fit and np.isfinite(solution.weights).all()):
        return None
    weights = quantise_weights(instance, solution.weights)
    if check_weights(instance, weights):
        return None
    duals = read_duals(instance, solution.tail_weights, solution.group_prices)
    proof = certify(instance, weights, duals, exact=solution.weights)
    policy = instance.policy
    if not (math.isfinite(proof.gap) and abs(proof.gap) <= policy.suboptimal_gap):
        return None
    is_optimal = abs(proof.gap) <= policy.gap_tolerance
    status = AuctionStatus.OPTIMAL if is_optimal else AuctionStatus.CERTIFIED_SUBOPTIMAL
    star = solution.lambda_star
    return _Answer(
        status=status,
        weights=weights,
        prices=price_bids(instance, duals),
        certificate=proof,
        lambda_star=star if math.isfinite(star) else None,
        message=solution.message,
        codes=() if weights.any() else (ReasonCode.AUCTION_CLEARED_TO_CASH,),
    )


def certify(
    instance: AuctionInstance,
    weights: NDArray[np.float64],
    duals: Duals,
    *,
    exact: NDArray[np.float64],
) -> Certificate:
    """Prove how good weights are: their value, and a bound no feasible weights exceed.

    Parameters
    ----------
    weights
        Shape ``(n_bids,)``.
    duals
        From `read_duals`; better ones prove more.
    exact
        The weights before they were rounded to the quantum, shape ``(n_bids,)``.
    """
    trading_costs(instance, instance.net(weights), instance.net(exact))  # both at one go
    value = objective_value(instance, weights)
    bound, prices = bound_of(instance, duals), duals.prices
    return Certificate(
        objective=value,
        upper_bound=bound,
        gap=bound - value,
        rounding=objective_value(instance, exact) - value,
        tails=tuple(_support(share) for share in duals.shares),
        group_prices=_support(prices),
    )


def _support(numbers: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    # What is not zero, each number with its place.
    places = np.flatnonzero(numbers)
    return tuple(zip(places.tolist(), numbers[places].tolist(), strict=True))


def recheck(instance: AuctionInstance, result: AuctionResult) -> float:
    """Prove a stored result again from its certificate, without a solver; returns the gap.

    Raises
    ------
    ValueError
        If the result has no certificate, or its weights break a limit of the instance.
    """
    if result.certificate is None:
        raise ValueError(f"a result of status {result.status} has no certificate")
    broken = check_weights(instance, result.weights)
    if broken:
        raise ValueError(f"the weights must keep every limit, broken were {broken}")
    shares = []
    for support, tail in zip(result.certificate.tails, instance.tails, strict=True):
        share = np.zeros(tail.returns.shape[0])
        for scenario, weight in support:
            share[scenario] = weight
        shares.append(share)
    prices = np.zeros(len(instance.groups))
    for group, price in result.certificate.group_prices:
        prices[group] = price
    duals = read_duals(instance, tuple(shares), prices)
    return certify(instance, result.weights, duals, exact=result.weights).gap


def _fall_back(
    instance: AuctionInstance, previous: NDArray[np.float64] | None, message: str
) -> _Answer:
    if previous is not None and previous.shape == instance.held.shape:
        scaled = _scale_into_limits(instance, previous)
        if scaled is not None and not check_weights(instance, scaled):
            return _Answer(
                status=AuctionStatus.PREVIOUS_SCALED,
                weights=scaled,
                prices=no_prices(instance),
                certificate=None,
                lambda_star=None,
                message=message,
                codes=(),
            )
    return _no_trade(instance, message, ())


def _no_trade(instance: AuctionInstance, message: str, codes: tuple[ReasonCode, ...]) -> _Answer:
    return _Answer(
        status=AuctionStatus.NO_TRADE,
        weights=instance.held.copy(),
        prices=no_prices(instance),
        certificate=None,
        lambda_star=None,
        message=message,
        codes=codes,
    )


def _scale_into_limits(
    instance: AuctionInstance, previous: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    if not (np.isfinite(previous) & (previous >= 0.0)).all():
        return None
    return quantise_weights(instance, scale_into_limits(instance, previous))


def _conclude(instance: AuctionInstance, values: AdjustedValues, answer: _Answer) -> AuctionResult:
    notes = [code for measure in instance.scenarios.measures for code in measure.reason_codes]
    codes = dict.fromkeys([_STATUS_CODES[answer.status], *answer.codes, *notes])
    is_refused = any(code in _REFUSALS for code in answer.codes)
    return AuctionResult(
        status=answer.status,
        reason_codes=tuple(codes),
        hurdle=instance.hurdle,
        lambda_star=answer.lambda_star,
        message=answer.message,
        prices=() if is_refused else shadow_prices(instance, answer.weights, answer.prices),
        certificate=answer.certificate,
        bids=refuse_bids(instance, values, answer.codes)
        if is_refused
        else explain_bids(instance, values, answer.weights, answer.prices),
    )
