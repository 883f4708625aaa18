"""Whether the tail that was forecast is the tail that came: tests of VaR and CVaR, pure."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, xlogy

from instgov_dagster.vocabulary.capital import CoverageTest
from instgov_dagster.vocabulary.policy.capital import CVaRConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodRatio:
    """A likelihood ratio test: its statistic and the chance of a larger one if all is well."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoverageOutcomes:
    """Forecasts and what came of them, one a session, in time order, arrays of shape (n,).

    ``ends`` is the date on which the loss over the horizon was complete, ``places`` the number of
    the session it was forecast on. ``value_at_risk``, ``cvar`` and ``losses`` are fractions of net
    asset value, a loss positive; sessions on which nothing was held are not among them.

    Raises
    ------
    ValueError
        If the lengths differ, a number is not finite or the sessions do not ascend.
    """

    ends: NDArray[np.datetime64]
    places: NDArray[np.intp]
    value_at_risk: NDArray[np.float64]
    cvar: NDArray[np.float64]
    losses: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("places", "value_at_risk", "cvar", "losses"):
            values = getattr(self, name)
            if values.shape != self.ends.shape or not np.isfinite(values).all():
                raise ValueError(
                    f"CoverageOutcomes.{name} must hold {self.ends.size} finite numbers"
                )
        if self.places.size and not (np.diff(self.places) > 0).all():
            raise ValueError("CoverageOutcomes.places must ascend, one outcome a session")

    @property
    def exceeded(self) -> NDArray[np.bool_]:
        """Whether each loss exceeded its value at risk."""
        return self.losses > self.value_at_risk

    def until(self, day: date) -> "CoverageOutcomes":
        """Keep what was complete before a day."""
        is_kept = self.ends < np.datetime64(day, "D")
        return CoverageOutcomes(
            ends=self.ends[is_kept],
            places=self.places[is_kept],
            value_at_risk=self.value_at_risk[is_kept],
            cvar=self.cvar[is_kept],
            losses=self.losses[is_kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageVerdict:
    """What one test says: its value beside its limit, on how many outcomes, and whether it speaks.

    ``value`` is the e-value, the p-value or Z2; ``highest`` the largest e-value on the way. A test
    with too few outcomes is not judged and does not fail.
    """

    test: CoverageTest
    value: float | None
    p_value: float | None
    limit: float
    outcomes: int
    exceedances: int
    highest: float | None
    last_session: date | None
    is_judged: bool
    passed: bool


def _require_probability(probability: float) -> None:
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability must be in (0, 1), was {probability!r}")


def kupiec(exceeded: NDArray[np.bool_], *, probability: float) -> LikelihoodRatio:
    """Test whether value at risk is exceeded as often as it should be (unconditional coverage).

    Parameters
    ----------
    exceeded
        Shape ``(n,)``, one entry an independent outcome.
    probability
        How often it should be: 1 - alpha.

    Raises
    ------
    ValueError
        If there is no outcome or the probability is impossible.

    Notes
    -----
    Kupiec (1995), Journal of Derivatives 3: -2 log of the ratio of the likelihoods under the
    probability and under the observed rate, chi-squared with one degree of freedom.
    """
    _require_probability(probability)
    if exceeded.size == 0:
        raise ValueError("exceeded must hold at least one outcome, was empty")
    n, x = exceeded.size, int(np.count_nonzero(exceeded))
    wanted = xlogy(x, probability) + xlogy(n - x, 1.0 - probability)
    seen = xlogy(x, x / n) + xlogy(n - x, 1.0 - x / n)
    return _ratio(2.0 * float(seen - wanted), 1)


def christoffersen(exceeded: NDArray[np.bool_]) -> LikelihoodRatio:
    """Test whether one exceedance makes the next more or less likely (independence).

    Parameters
    ----------
    exceeded
        Shape ``(n,)``, in time order.

    Raises
    ------
    ValueError
        If there are fewer than two outcomes.

    Notes
    -----
    Christoffersen (1998), International Economic Review 39: a first-order Markov chain against
    independence, chi-squared with one degree of freedom.
    """
    if exceeded.size < 2:
        raise ValueError(f"exceeded must hold at least two outcomes, was {exceeded.size}")
    before, after = exceeded[:-1], exceeded[1:]
    n, x = after.size, int(np.count_nonzero(after))
    from_one, stayed = int(np.count_nonzero(before)), int(np.count_nonzero(before & after))
    chained = 0.0
    for left, came in ((n - from_one, x - stayed), (from_one, stayed)):
        rate = came / max(left, 1)
        chained += float(xlogy(came, rate) + xlogy(left - came, 1.0 - rate))
    alone = float(xlogy(x, x / n) + xlogy(n - x, 1.0 - x / n))
    return _ratio(2.0 * (chained - alone), 1)


def conditional_coverage(exceeded: NDArray[np.bool_], *, probability: float) -> LikelihoodRatio:
    """Test rate and independence of the exceedances together (Christoffersen 1998).

    Parameters and errors as `kupiec` and `christoffersen`; the sum of their statistics is
    chi-squared with two degrees of freedom.
    """
    return _together(kupiec(exceeded, probability=probability), christoffersen(exceeded))


def _together(rate: LikelihoodRatio, chain: LikelihoodRatio) -> LikelihoodRatio:
    return _ratio(rate.statistic + chain.statistic, 2)


def _ratio(statistic: float, degrees: int) -> LikelihoodRatio:
    value = max(statistic, 0.0)  # rounding may leave a sliver below zero
    return LikelihoodRatio(statistic=value, p_value=float(chdtrc(degrees, value)))


def acerbi_szekely(outcomes: CoverageOutcomes, *, probability: float) -> float:
    """Measure how far the losses beyond value at risk are from CVaR: Z2, about 0 if all is well.

    Z2 = 1 - sum(L_t 1{L_t > VaR_t} / CVaR_t) / (n (1 - alpha)); negative where the tail was
    understated. Only outcomes with a positive CVaR are counted.

    Raises
    ------
    ValueError
        If none has, or the probability is impossible.

    Notes
    -----
    Acerbi and Szekely (2014), Risk: the second test, whose 5 % critical value is near -0.7 for
    every tail one meets.
    """
    _require_probability(probability)
    is_counted = outcomes.cvar > 0.0
    n = int(is_counted.sum())
    if n == 0:
        raise ValueError("outcomes must hold a positive CVaR, held none")
    hit = is_counted & outcomes.exceeded
    total = math.fsum((outcomes.losses[hit] / outcomes.cvar[hit]).tolist())
    return 1.0 - total / (n * probability)


def e_statistics(
    outcomes: CoverageOutcomes, *, probability: float, slack: float
) -> NDArray[np.float64]:
    """Give the e-statistic of each forecast: at most 1 on average where none is too low.

    e = max(L - VaR, 0) / ((1 - alpha) (CVaR - VaR)); exactly 1, no evidence, where CVaR exceeds
    VaR by no more than ``slack``.

    Notes
    -----
    Wang, Wang and Ziegel (2022), E-backtesting, arXiv 2209.00991: the backtest e-statistic of
    expected shortfall.
    """
    _require_probability(probability)
    gap = outcomes.cvar - outcomes.value_at_risk
    is_open = gap > slack
    beyond = np.maximum(outcomes.losses - outcomes.value_at_risk, 0.0)
    out = np.ones(gap.size)
    out[is_open] = beyond[is_open] / (probability * gap[is_open])
    return out


def e_process(statistics: NDArray[np.float64], *, max_bet: float) -> NDArray[np.float64]:
    """Multiply up bets on the e-statistics: the wealth after each of them, from 1 on.

    The bet on each is what would have grown wealth fastest on those before it, to second order:
    the sum of e - 1 over the sum of its squares, between 0 and ``max_bet``.

    Parameters
    ----------
    statistics
        Shape ``(..., n)``, in time order, of outcomes that do not overlap.
    max_bet
        Below 1: no single outcome takes all.

    Notes
    -----
    The method GREE of arXiv 2209.00991; by Ville's inequality a correct model reaches a wealth of
    20 at any time with a chance of at most 1/20.
    """
    excess = statistics - 1.0
    up, squares = np.zeros(excess.shape), np.zeros(excess.shape)
    up[..., 1:] = np.cumsum(excess, axis=-1)[..., :-1]
    squares[..., 1:] = np.cumsum(excess**2, axis=-1)[..., :-1]
    bets = np.clip(up / np.where(squares > 0.0, squares, 1.0), 0.0, max_bet)
    wealth: NDArray[np.float64] = np.cumprod(1.0 + bets * excess, axis=-1, dtype=np.float64)
    return wealth


def interleaved_e_process(
    statistics: NDArray[np.float64], places: NDArray[np.intp], *, lanes: int, max_bet: float
) -> NDArray[np.float64]:
    """Average as many e-processes as the horizon has sessions, each fed every so many sessions.

    Losses over overlapping horizons depend on each other; those of one lane do not overlap. The
    mean of e-processes is one.

    Parameters
    ----------
    statistics, places
        Shape ``(n,)``: the e-statistics, and the session each was forecast on.
    lanes
        Sessions of the horizon.

    Returns
    -------
    Shape ``(n,)``: the mean after each outcome.
    """
    if not statistics.size:
        return np.zeros(0)
    is_mine = places % lanes == np.arange(lanes)[:, None]
    seen = np.cumsum(is_mine, axis=1)  # of each lane, up to and with each outcome
    lane, place = np.nonzero(is_mine)
    # Lanes side by side, the short ones filled up with what is no evidence.
    fed = np.ones((lanes, int(seen[:, -1].max())))
    fed[lane, seen[lane, place] - 1] = statistics[place]
    wealth = np.ones((lanes, fed.shape[1] + 1))
    wealth[:, 1:] = e_process(fed, max_bet=max_bet)
    total: NDArray[np.float64] = np.take_along_axis(wealth, seen, axis=1).sum(axis=0)
    return total / lanes


def combine_p_values(p_values: list[float]) -> float:
    """Merge p-values that depend on each other in any way: twice their mean, at most 1.

    Notes
    -----
    Vovk and Wang (2020), Biometrika 107.
    """
    return min(1.0, 2.0 * sum(p_values) / len(p_values))


def judge_coverage(
    outcomes: CoverageOutcomes, *, asof: date, config: CVaRConfig
) -> tuple[CoverageVerdict, ...]:
    """Hold the forecasts against what came: the e-process daily, the other tests by the month.

    Parameters
    ----------
    outcomes
        Of one book, all that were complete before ``asof``.
    asof
        The night; the monthly tests see what was complete before the first of its month.

    Returns
    -------
    One verdict a test.
    """
    monthly = outcomes.until(asof.replace(day=1))
    policy, probability = config.coverage, 1.0 - config.confidence_level
    statistics = e_statistics(outcomes, probability=probability, slack=policy.es_var_slack)
    path = interleaved_e_process(
        statistics, outcomes.places, lanes=config.horizon_days, max_bet=policy.e_max_bet
    )
    value, highest = (float(path[-1]), float(path.max())) if path.size else (1.0, 1.0)
    is_enough = monthly.losses.size >= policy.min_outcomes
    lanes = [
        monthly.exceeded[monthly.places % config.horizon_days == lane]
        for lane in range(config.horizon_days)
    ]
    rate = chain = z2 = None
    if is_enough:
        whole = [lane for lane in lanes if lane.size >= 2]
        rates = [kupiec(x, probability=probability) for x in whole]
        both = [_together(one, christoffersen(x)) for one, x in zip(rates, whole, strict=True)]
        rate = combine_p_values([one.p_value for one in rates])
        chain = combine_p_values([one.p_value for one in both])
        if (monthly.cvar > 0.0).any():
            z2 = acerbi_szekely(monthly, probability=probability)
    return (
        _verdict(
            CoverageTest.E_PROCESS, outcomes, value, policy.e_limit, highest=highest, p_value=None
        ),
        _verdict(CoverageTest.KUPIEC, monthly, rate, policy.significance, p_value=rate),
        _verdict(CoverageTest.CHRISTOFFERSEN, monthly, chain, policy.significance, p_value=chain),
        _verdict(CoverageTest.ACERBI_SZEKELY, monthly, z2, policy.z2_limit, p_value=None),
    )


def _verdict(
    test: CoverageTest,
    outcomes: CoverageOutcomes,
    value: float | None,
    limit: float,
    *,
    p_value: float | None,
    highest: float | None = None,
) -> CoverageVerdict:
    # The e-value fails at its limit and above; a p-value and Z2 fail below theirs.
    is_judged = value is not None and outcomes.losses.size > 0
    is_bad = value is not None and (
        not value < limit if test is CoverageTest.E_PROCESS else not value >= limit
    )
    return CoverageVerdict(
        test=test,
        value=value,
        p_value=p_value,
        limit=limit,
        outcomes=int(outcomes.losses.size),
        exceedances=int(outcomes.exceeded.sum()),
        highest=highest,
        last_session=outcomes.ends.max().astype(date) if outcomes.ends.size else None,
        is_judged=is_judged,
        passed=not is_bad,
    )
