"""What a decision proposes to do to the book, as the gates of risk judge it."""

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.result import AuctionResult
from instgov_dagster.capital.risk import BookProposal
from instgov_dagster.capital.trades import TradeDraft
from instgov_dagster.loop.decision.bidding import Bids, ValuedBook
from instgov_dagster.loop.decision.conditions import execution_regime
from instgov_dagster.loop.decision.gains import order_gains
from instgov_dagster.loop.decision.snapshot import Snapshot
from instgov_dagster.vocabulary.config import Policy

Floats = NDArray[np.float64]


def book_proposal(
    snapshot: Snapshot,
    valued: ValuedBook,
    bids: Bids,
    auction: AuctionResult,
    draft: TradeDraft,
    config: Policy,
    scaled: Floats | None,
    forced: frozenset[str],
) -> BookProposal:
    """Propose the drafted trades, with what each gains and what of them is forced.

    Parameters
    ----------
    scaled
        Weights of a book scaled out of a breach, or None: everything is forced then.
    forced
        Symbols whose trades are no choice of the auction.
    """
    symbols, before = draft.symbols, valued.net[snapshot.places]
    if scaled is not None:
        forced = frozenset(symbols)
    gains = order_gains(
        auction,
        symbols,
        sectors=dict(zip(snapshot.symbols, snapshot.sector, strict=True)),
        classes={s: k.value for s, k in zip(snapshot.symbols, snapshot.asset_class, strict=True)},
    )
    return BookProposal(
        symbols=symbols,
        before=before,
        after=draft.after(before),
        net_gain=draft.share * gains,
        correlations=bids.book.correlation[snapshot.places],
        sectors=tuple(snapshot.sector[n] for n in snapshot.places),
        is_forced=np.array([symbol in forced for symbol in symbols], dtype=np.bool_),
        drawdown=valued.drawdown,
        hurdle=config.auction.hurdle,
        regime=execution_regime(snapshot),
    )
