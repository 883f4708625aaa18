"""From a target book to tradable quantities: volume, lots and minimum sizes; no gate is here."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import ExecutionRegime
from instgov_dagster.vocabulary.policy.capital import ImpactPolicy
from instgov_dagster.vocabulary.reasons import ReasonCode

_UNIT: Final = Decimal("0.00000001")  # the book counts holdings in whole multiples of it
_NOISE: Final = 16.0 * float(np.finfo(np.float64).eps)  # of a few products and quotients


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradingConditions:
    """What trading meets in this cycle, arrays of shape ``(n_symbols,)`` in ``symbols``' order.

    ``mid`` is the price a quantity is counted at and ``spread_bps`` the whole spread, with
    ``is_quoted`` where a quote gave both; ``adv_usd`` and ``traded_usd`` the median daily volume
    and what this session traded of it so far; ``volatility_annual`` a fraction. Missing is NaN,
    which refuses the symbol and no other.
    """

    symbols: tuple[str, ...]
    asset_classes: tuple[AssetClass, ...]
    mid: NDArray[np.float64]
    spread_bps: NDArray[np.float64]
    is_quoted: NDArray[np.bool_]
    adv_usd: NDArray[np.float64]
    traded_usd: NDArray[np.float64]
    volatility_annual: NDArray[np.float64]
    nav_usd: float
    regime: ExecutionRegime

    def __post_init__(self) -> None:
        n = len(self.symbols)
        names = ("mid", "spread_bps", "is_quoted", "adv_usd", "traded_usd", "volatility_annual")
        for name in names:
            if getattr(self, name).shape != (n,):
                raise ValueError(
                    f"TradingConditions.{name} must have shape ({n},), "
                    f"was {getattr(self, name).shape}"
                )
        if len(self.asset_classes) != n:
            raise ValueError(f"TradingConditions.asset_classes must have {n} rows")
        if not (np.isfinite(self.nav_usd) and self.nav_usd > 0.0):
            raise ValueError(
                f"TradingConditions.nav_usd must be a finite number > 0, was {self.nav_usd!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradeDraft:
    """The trades a target asks for, rounded toward zero to what can be traded.

    ``weight_delta`` (n_symbols,) is signed, ``quantity * mid / nav`` and at most what was wished;
    ``share`` the part of the wished trade it is, in [0, 1]; ``quantity`` unsigned, in units of the
    instrument; ``reason_codes`` why a trade was cut or dropped, empty where it was not.
    """

    symbols: tuple[str, ...]
    weight_delta: NDArray[np.float64]
    share: NDArray[np.float64]
    quantity: tuple[Decimal, ...]
    reason_codes: tuple[tuple[ReasonCode, ...], ...]

    def after(self, before: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights the trades lead to from ``before``, shape ``(n_symbols,)``."""
        reached: NDArray[np.float64] = before + self.weight_delta
        return reached


def round_to_lot(quantity: float, lot: float) -> Decimal:
    """Round a quantity toward zero to whole lots.

    Parameters
    ----------
    quantity
        Units of the instrument, not negative.
    lot
        The smallest tradable quantity, positive.
    """
    step = Decimal(repr(lot))
    lots = (Decimal(repr(quantity)) / step).to_integral_value(rounding=ROUND_DOWN)
    return lots * step


def whole_holding(quantity: float) -> Decimal:
    """Recover the quantity held from its value: as much as is certainly held, to `_UNIT`.

    Parameters
    ----------
    quantity
        Units of the instrument, not negative, counted back from a weight: off by rounding errors.

    Notes
    -----
    A holding is a whole number of `_UNIT`. Where the rounding errors span less than one, that
    number is found exactly; where they span more, what is given up stays below what is held and
    leaves with the next exit.
    """
    low, high = (Decimal(quantity * side) for side in (1.0 - _NOISE, 1.0 + _NOISE))
    return (high if high - low < _UNIT else low).quantize(_UNIT, rounding=ROUND_DOWN)


def draft_trades(
    conditions: TradingConditions,
    *,
    before: NDArray[np.float64],
    target: NDArray[np.float64],
    policy: ImpactPolicy,
) -> TradeDraft:
    """Turn net targets into quantities that may be traded now.

    A trade is cut to what is left of its share of daily volume (a smaller share in a crisis),
    rounded toward zero to the class's lot, and dropped below the minimum order. A weight that
    cannot be priced or is not finite is not traded. An exit, a target of exactly 0 from a weight
    that is held, sells the whole holding as far as volume allows it at once: neither lot nor
    minimum order holds it back, so that what remains of a position can always leave.

    Parameters
    ----------
    before, target
        Net weights, shape ``(n_symbols,)``.

    Raises
    ------
    ValueError
        If the shapes disagree.
    """
    n = len(conditions.symbols)
    if before.shape != (n,) or target.shape != (n,):
        raise ValueError(f"before and target must have shape ({n},)")
    is_crisis = conditions.regime is ExecutionRegime.CRISIS
    share = policy.orders.crisis_participation if is_crisis else policy.max_participation
    delta, part = np.zeros(n), np.zeros(n)
    quantities, reasons = [], []
    for i in range(n):
        wish = float(target[i] - before[i])
        room = share * float(conditions.adv_usd[i]) - float(conditions.traded_usd[i])
        is_exit = float(target[i]) == 0.0
        quantity, codes = _quantity(conditions, i, wish, room, policy, is_exit=is_exit)
        quantities.append(quantity)
        reasons.append(codes)
        if quantity > 0:
            size = float(quantity) * float(conditions.mid[i]) / conditions.nav_usd
            size = min(size, abs(wish))  # an exit leads to 0, not a rounding error past it
            delta[i] = np.copysign(size, wish)
            part[i] = min(size / abs(wish), 1.0)
    return TradeDraft(
        symbols=conditions.symbols,
        weight_delta=delta,
        share=part,
        quantity=tuple(quantities),
        reason_codes=tuple(reasons),
    )


def _quantity(
    conditions: TradingConditions,
    i: int,
    wish: float,
    room: float,
    policy: ImpactPolicy,
    *,
    is_exit: bool,
) -> tuple[Decimal, tuple[ReasonCode, ...]]:
    nothing, mid = Decimal(0), float(conditions.mid[i])
    refused = _refusal(mid, wish, room)
    if wish == 0.0 or refused:
        return nothing, refused
    notional = abs(wish) * conditions.nav_usd
    codes: tuple[ReasonCode, ...] = ()
    if notional > room:
        notional, codes = max(room, 0.0), (ReasonCode.PARTICIPATION,)
    elif is_exit and (held := whole_holding(notional / mid)) > nothing:
        return held, codes
    lot = policy.orders.lots.of(conditions.asset_classes[i])
    quantity = round_to_lot(notional / mid, lot)
    if float(quantity) * mid < policy.orders.min_order_usd or quantity == nothing:
        return nothing, (*codes, ReasonCode.ORDER_BELOW_MINIMUM)
    return quantity, codes


def _refusal(mid: float, wish: float, room: float) -> tuple[ReasonCode, ...]:
    if wish == 0.0:
        return ()
    if not np.isfinite(wish):
        return (ReasonCode.RISK_NOT_FINITE,)
    if not (np.isfinite(mid) and mid > 0.0):
        return (ReasonCode.QUOTE_INVALID,)
    return () if np.isfinite(room) else (ReasonCode.NO_IMPACT_ESTIMATE,)
