"""One auction as numbers: values, caps, costs, limits and scenarios; nothing is solved here."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.scenarios import ScenarioMeasure, ScenarioSet
from instgov_dagster.vocabulary.errors import SystemHalt
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class CapGroup:
    """A cap on the sum of some bids: the budget, a strategy, a name, a sector or a class."""

    code: ReasonCode
    key: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Incidence:
    """Which bids stand under which caps, as pairs: a bid is under a handful of thousands.

    ``group_of`` and ``bid_of`` (P,) name one membership each, ordered by group, then bid.

    Raises
    ------
    ValueError
        If a pair points outside, occurs twice or is out of order.
    """

    n_groups: int
    n_bids: int
    group_of: NDArray[np.intp]
    bid_of: NDArray[np.intp]

    def __post_init__(self) -> None:
        if self.group_of.ndim != 1 or self.group_of.shape != self.bid_of.shape:
            raise ValueError(
                f"Incidence must hold pairs, was {self.group_of.shape} with {self.bid_of.shape}"
            )
        for name, pairs, most in (
            ("group_of", self.group_of, self.n_groups),
            ("bid_of", self.bid_of, self.n_bids),
        ):
            if pairs.size and not 0 <= pairs.min() <= pairs.max() < most:
                raise ValueError(f"Incidence.{name} must be in [0, {most})")
        if (np.diff(self.group_of * max(self.n_bids, 1) + self.bid_of) <= 0).any():
            raise ValueError("Incidence must name each pair once, by group, then bid")

    @classmethod
    def from_rows(cls, rows: NDArray[np.bool_]) -> "Incidence":
        """Read a matrix of shape ``(n_groups, n_bids)``."""
        group_of, bid_of = np.nonzero(rows)
        return cls(n_groups=rows.shape[0], n_bids=rows.shape[1], group_of=group_of, bid_of=bid_of)

    def to_rows(self) -> NDArray[np.bool_]:
        """Write the matrix of shape ``(n_groups, n_bids)``."""
        rows = np.zeros((self.n_groups, self.n_bids), dtype=np.bool_)
        rows[self.group_of, self.bid_of] = True
        return rows

    def sums(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the bids of each group: shape ``(n_bids,)`` to ``(n_groups,)``."""
        total = np.bincount(self.group_of, weights=weights[self.bid_of], minlength=self.n_groups)
        return total.astype(np.float64)

    def charges(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the prices each bid pays: shape ``(n_groups,)`` to ``(n_bids,)``."""
        total = np.bincount(self.bid_of, weights=prices[self.group_of], minlength=self.n_bids)
        return total.astype(np.float64)

    def touched(self, groups: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which bids are in any of some groups: shape ``(n_groups,)`` to ``(n_bids,)``."""
        found = np.zeros(self.n_bids, dtype=np.bool_)
        found[self.bid_of[groups[self.group_of]]] = True
        return found

    def groups_of(self, bids: NDArray[np.intp]) -> dict[int, list[int]]:
        """List the groups that each of some bids is in."""
        is_asked = np.zeros(self.n_bids, dtype=np.bool_)
        is_asked[bids] = True
        kept = np.flatnonzero(is_asked[self.bid_of])
        kept = kept[np.argsort(self.bid_of[kept], kind="stable")]
        counts = np.bincount(self.bid_of[kept], minlength=self.n_bids)
        ends = np.cumsum(counts)
        starts = (ends - counts)[bids].tolist()
        groups = self.group_of[kept].tolist()
        pairs = zip(bids.tolist(), starts, ends[bids].tolist(), strict=True)
        return {j: groups[start:end] for j, start, end in pairs}

    def equals(self, other: "Incidence") -> bool:
        """Whether two say the same."""
        return (
            (self.n_groups, self.n_bids) == (other.n_groups, other.n_bids)
            and np.array_equal(self.group_of, other.group_of)
            and np.array_equal(self.bid_of, other.bid_of)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tail:
    """One matrix of scenarios, the most its CVaR may be, and the price its CVaR pays anyway.

    ``measure`` is the first of the measures taken on the matrix, whose multiplier plays no part
    here; ``limit`` is the tightest limit of them; ``hurdle`` is lambda on the current one, 0
    elsewhere.
    """

    measure: ScenarioMeasure
    limit: float
    hurdle: float

    @property
    def returns(self) -> NDArray[np.float64]:
        """The returns, shape ``(n_scenarios, n_symbols)``."""
        return self.measure.returns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuctionInstance:
    """Everything one auction is decided by (SPEC 5).

    Weights and costs are fractions of net asset value and of price. With J bids, N symbols and G
    groups: ``strategies`` and ``symbol_of`` (J,) say whose each bid is and on what; ``values``
    (J,) is the adjusted expected return, ties broken; ``held`` (J,) what each bid holds; ``caps``
    (J,) the most it may hold, with ``cap_codes`` saying why; ``block_codes`` why a bid may hold
    nothing or not grow; ``membership`` and ``group_caps`` (G,) the sums that are capped;
    ``half_spread`` h, ``impact`` k and ``traded`` d (N,) the cost h t + k ((d + t)^1.5 - d^1.5)
    of trading t where d was traded before; ``buy_limits`` and ``sell_limits`` (N,) the most a
    symbol may trade, with ``buy_codes``; ``measure_limits`` one limit a measure.

    Three fields follow from the others: ``net_held`` (N,) what is held of each symbol; ``reach``
    (N,) the most each can trade in this auction, over which the chords that stand for impact are
    spread; ``tails`` the distinct scenario matrices, each with the tightest limit held against it.

    Raises
    ------
    ValueError
        If shapes disagree or the hurdle or level is impossible. The other numbers are judged by
        `refuse_instance`, so that a bad one is a reason and not a crash.
    """

    bid_ids: tuple[str, ...]
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    symbol_of: NDArray[np.intp]
    values: NDArray[np.float64]
    held: NDArray[np.float64]
    caps: NDArray[np.float64]
    cap_codes: tuple[ReasonCode, ...]
    block_codes: tuple[tuple[ReasonCode, ...], ...]
    groups: tuple[CapGroup, ...]
    membership: Incidence
    group_caps: NDArray[np.float64]
    half_spread: NDArray[np.float64]
    impact: NDArray[np.float64]
    traded: NDArray[np.float64]
    buy_limits: NDArray[np.float64]
    buy_codes: tuple[ReasonCode, ...]
    sell_limits: NDArray[np.float64]
    scenarios: ScenarioSet
    measure_limits: tuple[float, ...]
    hurdle: float
    confidence_level: float
    policy: AuctionPolicy
    net_held: NDArray[np.float64] = field(init=False, repr=False)
    reach: NDArray[np.float64] = field(init=False, repr=False)
    tails: tuple[Tail, ...] = field(init=False, repr=False)
    #: What the books of this auction cost to get to, by their net weights, whoever asks first.
    kept_costs: dict[bytes, NDArray[np.float64]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        n_bids, n_symbols, n_groups = len(self.bid_ids), len(self.symbols), len(self.groups)
        shapes = {
            "symbol_of": (n_bids,),
            "values": (n_bids,),
            "held": (n_bids,),
            "caps": (n_bids,),
            "group_caps": (n_groups,),
            "half_spread": (n_symbols,),
            "impact": (n_symbols,),
            "traded": (n_symbols,),
            "buy_limits": (n_symbols,),
            "sell_limits": (n_symbols,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"AuctionInstance.{name} must have shape {shape}, "
                    f"was {getattr(self, name).shape}"
                )
        if (self.membership.n_groups, self.membership.n_bids) != (n_groups, n_bids):
            raise ValueError("AuctionInstance.membership must pair the groups with the bids")
        if self.scenarios.symbols != self.symbols:
            raise ValueError("AuctionInstance.scenarios must have the instance's symbols")
        if len(self.measure_limits) != len(self.scenarios.measures):
            raise ValueError("AuctionInstance.measure_limits must hold one limit a measure")
        lengths = {len(self.cap_codes), len(self.block_codes), len(self.strategies), n_bids}
        if len(lengths) != 1 or len(self.buy_codes) != n_symbols:
            raise ValueError("AuctionInstance must have one code a bid and one a symbol")
        if not (0.0 <= self.hurdle < np.inf and 0.0 < self.confidence_level < 1.0):
            raise ValueError(
                "AuctionInstance.hurdle must be finite and >= 0 and confidence_level in (0, 1), "
                f"were {self.hurdle!r} and {self.confidence_level!r}"
            )
        if n_bids and not (0 <= self.symbol_of.min() <= self.symbol_of.max() < n_symbols):
            raise ValueError("AuctionInstance.symbol_of must point into symbols")
        object.__setattr__(self, "net_held", self.net(self.held))
        object.__setattr__(self, "reach", self._reach())
        object.__setattr__(self, "tails", self._tails())

    def net(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum bids into symbols: shape ``(n_bids,)`` to ``(n_symbols,)``."""
        total = np.bincount(self.symbol_of, weights=weights, minlength=len(self.symbols))
        return total.astype(np.float64)

    def _tails(self) -> tuple[Tail, ...]:
        # A multiplied measure m * max(CVaR, 0) <= limit says CVaR <= limit / m on the same matrix.
        found: dict[int, Tail] = {}
        pairs = zip(self.scenarios.measures, self.measure_limits, strict=True)
        for place, (measure, limit) in enumerate(pairs):
            key, bound = id(measure.returns), limit / measure.multiplier
            if key in found:
                found[key] = replace(found[key], limit=min(bound, found[key].limit))
            else:
                hurdle = self.hurdle if place == 0 else 0.0
                found[key] = Tail(measure=measure, limit=bound, hurdle=hurdle)
        return tuple(found.values())

    def _reach(self) -> NDArray[np.float64]:
        # A purchase ends at the name cap or at the sum of the bids' caps; a sale ends at zero.
        room = np.minimum(self.net(self.caps), self.policy.name_cap) - self.net_held
        buys = np.minimum(self.buy_limits, np.maximum(room, 0.0))
        return np.maximum(buys, np.minimum(self.sell_limits, self.net_held))


@lru_cache(maxsize=8)
def identity_order(bid_ids: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the places of bids in the order of their identity; the same bids come every second."""
    order = np.array(sorted(range(len(bid_ids)), key=bid_ids.__getitem__), dtype=np.intp)
    order.setflags(write=False)
    return order


def chord_grid(policy: AuctionPolicy) -> NDArray[np.float64]:
    """Return the ends of the chords on [0, 1], shape ``(n_chords + 1,)``, denser near zero."""
    return _grid(policy.impact_chords, policy.impact_grading)


@lru_cache(maxsize=8)
def _grid(n_chords: int, grading: float) -> NDArray[np.float64]:
    steps = np.arange(n_chords + 1, dtype=np.float64) / n_chords
    grid: NDArray[np.float64] = steps**grading
    grid.setflags(write=False)
    return grid


def chord_nodes(instance: AuctionInstance, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the impact cost at the ends of some symbols' chords, ``(n_rows, n_chords + 1)``.

    k ((d + t)^1.5 - d^1.5) with what was traded before: an order cut into many small ones over
    one session costs what it would have cost whole.

    Parameters
    ----------
    rows
        Which symbols, shape ``(n_rows,)``.
    """
    ends = instance.reach[rows, None] * chord_grid(instance.policy)
    return impact_costs(instance, ends, rows)


def impact_costs(
    instance: AuctionInstance, traded: NDArray[np.float64], rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the true impact of trades the chords lie above, shape ``(n_rows, any)``.

    x^1.5 is taken as x sqrt(x), which is several times faster and as exact.
    """
    before = instance.traded[rows, None]
    after = before + traded
    cost: NDArray[np.float64] = instance.impact[rows, None] * (
        after * np.sqrt(after) - before * np.sqrt(before)
    )
    return cost


def require_known_holdings(instance: AuctionInstance) -> None:
    """Halt where what is held is not known: then no step of the ladder has a book to stand on.

    Raises
    ------
    SystemHalt
        ``RISK_NOT_FINITE`` if a held weight is not finite or is short.
    """
    held = instance.held
    if not (np.isfinite(held) & (held >= 0.0)).all():
        raise SystemHalt(
            ReasonCode.RISK_NOT_FINITE, f"held weights must be finite and >= 0, were {held}"
        )


def refuse_instance(instance: AuctionInstance) -> tuple[ReasonCode, ...]:
    """Name what forbids solving this instance; nothing where it may be solved.

    Raw solvers do not fail closed: HiGHS answers "Optimal" on NaN, so every number is looked at
    before one is asked.

    Returns
    -------
    ``BID_NOT_FINITE`` for values, caps and costs, ``RISK_NOT_FINITE`` for scenarios and limits.
    """
    codes = []
    costs = np.concatenate(
        [
            instance.half_spread,
            instance.impact,
            instance.traded,
            instance.buy_limits,
            instance.sell_limits,
        ]
    )
    numbers = np.concatenate([instance.values, instance.caps, instance.group_caps, costs])
    if not (np.isfinite(numbers).all() and (costs >= 0.0).all()):
        codes.append(ReasonCode.BID_NOT_FINITE)
    is_measurable = all(measure.is_finite for measure in instance.scenarios.measures)
    if not (is_measurable and np.isfinite(instance.measure_limits).all()):
        codes.append(ReasonCode.RISK_NOT_FINITE)
    return tuple(codes)


def require_feasible_cash(instance: AuctionInstance) -> None:
    """Halt where not even holding nothing is allowed: the configuration or the data is broken.

    Raises
    ------
    SystemHalt
        ``AUCTION_INFEASIBLE`` naming the negative cap or limit.
    """
    limits = [tail.limit for tail in instance.tails]
    smallest = float(
        np.concatenate([limits, instance.caps, instance.group_caps]).min(initial=np.inf)
    )
    if not smallest >= 0.0:
        raise SystemHalt(
            ReasonCode.AUCTION_INFEASIBLE, f"a cap or limit is {smallest!r}, below zero"
        )
