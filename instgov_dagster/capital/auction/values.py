"""The value of each bid: its expected return after every penalty, each penalty named."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.capital.auction.bids import BidTable
from instgov_dagster.vocabulary.policy.capital import AuctionPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdjustedValues:
    """What each penalty took from each bid, arrays of shape ``(n_bids,)``, fractions of price.

    ``negative_part`` is min(mu, 0), which no bid can win with. It and the five penalties, taken
    in the order they stand here, add up to ``mu - mu_hat``.
    """

    mu: NDArray[np.float64]
    negative_part: NDArray[np.float64]
    data_quality_penalty: NDArray[np.float64]
    model_decay_penalty: NDArray[np.float64]
    provider_penalty: NDArray[np.float64]
    correlation_penalty: NDArray[np.float64]
    time_decay_penalty: NDArray[np.float64]
    mu_hat: NDArray[np.float64]


def _column(
    name: str, values: NDArray[np.float64], n_bids: int, *, most: float
) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (n_bids,):
        raise ValueError(f"{name} must have shape ({n_bids},), was {column.shape}")
    if not (np.isfinite(column) & (column >= 0.0) & (column <= most)).all():
        raise ValueError(f"{name} must be finite and in [0, {most:g}], was {column.tolist()}")
    return column


def adjusted_values(
    bids: BidTable,
    *,
    final_decay_factor: NDArray[np.float64],
    sessions_since_forecast: NDArray[np.float64],
    policy: AuctionPolicy,
) -> AdjustedValues:
    """Take the penalties off each bid's expected return, in SPEC 5's order.

    mu_hat = max(mu, 0) * quality * decay * provider_confidence * (1 - w * max(0, correlation_risk))
    * exp(-time_decay_rate * sessions since the forecast). Only the positive part is penalised: a
    factor below one would make a negative forecast better.

    Parameters
    ----------
    bids
        The bids, whose ``mu`` already carries the disagreement penalty.
    final_decay_factor
        The health of the model behind each bid, shape ``(n_bids,)``, in [0, 1].
    sessions_since_forecast
        Sessions since each forecast was made, shape ``(n_bids,)``, not negative.

    Raises
    ------
    ValueError
        If a shape is wrong or a number is not finite or out of its bounds.
    """
    decay = _column("final_decay_factor", final_decay_factor, len(bids), most=1.0)
    age = _column("sessions_since_forecast", sessions_since_forecast, len(bids), most=np.inf)
    correlated = np.maximum(bids.correlation_risk, 0.0)
    factors = (
        bids.data_quality_score,
        decay,
        bids.provider_confidence,
        1.0 - policy.correlation_weight * correlated,
        np.exp(-bids.time_decay_rate * age),
    )
    left = np.maximum(bids.mu, 0.0)
    taken = []
    for factor in factors:
        after = left * factor
        taken.append(left - after)
        left = after
    quality, decayed, provider, correlation, aged = taken
    return AdjustedValues(
        mu=bids.mu,
        negative_part=np.minimum(bids.mu, 0.0),
        data_quality_penalty=quality,
        model_decay_penalty=decayed,
        provider_penalty=provider,
        correlation_penalty=correlation,
        time_decay_penalty=aged,
        mu_hat=left,
    )


def break_ties(
    values: NDArray[np.float64], bid_ids: Sequence[str], *, policy: AuctionPolicy
) -> NDArray[np.float64]:
    """Lower each value by its rank times a spacing too small to matter.

    Ranks follow the sha256 of the bid's identity, so the order of the bids changes nothing and
    equal bids have one answer. To each rank but the first a fraction is added, from the same hash:
    whole ranks tie in sums (1 + 4 = 2 + 3) where bids trade places under two caps, fractions do
    not.

    Parameters
    ----------
    values
        Shape ``(n_bids,)``, fractions of price.
    bid_ids
        The identity of each bid.
    """
    spacing = min(policy.tie_spacing, policy.tie_spacing_total / max(len(bid_ids), 1))
    perturbed: NDArray[np.float64] = values - np.array(_ranks(tuple(bid_ids))) * spacing
    return perturbed


@lru_cache(maxsize=8)
def _ranks(bid_ids: tuple[str, ...]) -> tuple[float, ...]:
    # The same bids come every second: 3000 hashes are kept rather than taken again.
    digests = [hashlib.sha256(name.encode()).digest() for name in bid_ids]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    ranks = [0.0] * len(order)
    for rank, j in enumerate(order):
        ranks[j] = rank + int.from_bytes(digests[j][-4:]) / 2.0**32 if rank else 0.0
    return tuple(ranks)
