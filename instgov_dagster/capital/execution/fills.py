"""How an order fills against one view of the market: at which price, how much, at what cost."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final, Protocol

from instgov_dagster.vocabulary.audit import MONEY_QUANTUM, OrderSide, to_money

_BPS: Final = Decimal(10_000)


class FillView(Protocol):
    """What a fill needs to see of one symbol at one instant; the broker's view is one.

    ``bar_low`` and ``bar_high`` bound the day's bar, ``impact_bps`` is the modelled impact without
    the half spread, ``adv_usd`` and ``max_participation`` say how much one day may take.
    """

    @property
    def bid(self) -> float:
        """What a seller gets now."""
        ...

    @property
    def ask(self) -> float:
        """What a buyer pays now."""
        ...

    @property
    def bar_low(self) -> float:
        """The least price of the day's bar."""
        ...

    @property
    def bar_high(self) -> float:
        """The greatest price of the day's bar."""
        ...

    @property
    def impact_bps(self) -> float:
        """Temporary and permanent impact, basis points of the traded amount."""
        ...

    @property
    def adv_usd(self) -> float:
        """Dollars traded on a usual day."""
        ...

    @property
    def max_participation(self) -> float:
        """The share of them one day's orders may take."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FillTerms:
    """The terms of one fill; a ``quantity`` of 0 says the day's participation is spent."""

    price: Decimal
    quantity: Decimal
    cost_usd: Decimal
    is_aggressive: bool


def fill_terms(
    *,
    side: OrderSide,
    quantity: Decimal,
    limit_price: Decimal,
    view: FillView,
    taken: Decimal,
    is_resting: bool,
) -> FillTerms | None:
    """Fill an order against one view, within what the day's participation leaves (SPEC 6).

    An order whose limit reaches the far side of the quote takes it. One that rested trades at its
    limit when the market comes to it; where the market jumped over the limit, out of the day's
    bar, at the quote. The price is before modelled costs and never outside the bar by more than
    half the spread.

    Parameters
    ----------
    quantity
        Units the order asks for.
    view
        A view that has been judged usable: finite, positive, its mid within the bar.
    taken
        Units of the symbol traded this day so far.
    is_resting
        Whether the order stood in the market before this view.

    Returns
    -------
    The terms, or None where the limit does not reach the market and the order rests.
    """
    far_side = to_money(view.ask if side is OrderSide.BUY else view.bid)
    if (limit_price - far_side) * side.sign < 0:
        return None
    price = far_side
    if is_resting and view.bar_low <= limit_price <= view.bar_high:
        price = limit_price
    available = available_quantity(
        quantity,
        price,
        adv_usd=view.adv_usd,
        participation=view.max_participation,
        taken=taken,
    )
    return FillTerms(
        price=price,
        quantity=available,
        cost_usd=impact_cost(available, price, impact_bps=view.impact_bps),
        is_aggressive=not is_resting,
    )


def available_quantity(
    quantity: Decimal, price: Decimal, *, adv_usd: float, participation: float, taken: Decimal
) -> Decimal:
    """Cut a quantity to what the day's participation leaves, rounded down to the eighth decimal.

    Parameters
    ----------
    quantity, taken
        Units asked for, and units traded this day so far.
    price
        Positive, US dollars a unit.
    adv_usd, participation
        Dollars traded on a usual day, and the share of them that may be taken.

    Returns
    -------
    Units, 0 where nothing is left.
    """
    budget = Decimal(str(adv_usd)) * Decimal(str(participation)) / price
    left = min(quantity, budget - taken)
    return max(left.quantize(MONEY_QUANTUM, rounding=ROUND_DOWN), Decimal(0))


def impact_cost(quantity: Decimal, price: Decimal, *, impact_bps: float) -> Decimal:
    """Price the modelled impact of a fill in dollars."""
    return to_money(quantity * price * to_money(impact_bps) / _BPS)
