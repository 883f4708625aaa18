"""A whole panel walked session by session: what every model said, row by row, as it then knew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.fold import Fold, Parameters, Told
from instgov_dagster.beliefs.hot.tape import Bars, Floats, daily_returns
from instgov_dagster.beliefs.models import MODELS, Card, Family
from instgov_dagster.beliefs.models.garch_fit import MODEL_ID, SIGMA_FIT_SCHEMA
from instgov_dagster.beliefs.models.sigma.garch import PARAMETERS
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

Dates = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketPanel:
    """What the models are shown: T sessions of N symbols, adjusted, NaN where unknown.

    Attributes
    ----------
    dates, symbols, close
        ``(T,)`` increasing sessions, ``N`` distinct names, ``(T, N)`` closes.
    open, high, low
        ``(T, N)`` each, or None where only closes are held: the range is then unknown.
    fits
        ``SIGMA_FIT_SCHEMA``: parameters fitted by earlier nights, and by this one.

    Raises
    ------
    ValueError
        If shapes, order or names are inconsistent.
    """

    dates: Dates
    symbols: tuple[str, ...]
    close: Floats
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    fits: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        for name in ("close", "open", "high", "low"):
            array = getattr(self, name)
            if array is not None and (array.shape != shape or not shape[0]):
                raise ValueError(
                    f"{name} must have shape (T, N) = {shape} with T >= 1, was {array.shape}"
                )
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols must be distinct")
        if not bool(np.all(self.dates[1:] > self.dates[:-1])):
            raise ValueError("dates must increase strictly")

    def bars(self, session: int) -> Bars:
        """Give one session's bars."""
        close = self.close[session]
        unknown = np.full(close.shape, np.nan)
        ranges = (self.open, self.high, self.low)
        opened, high, low = (unknown if rows is None else rows[session] for rows in ranges)
        return Bars(close, opened, high, low)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """What was known and said after each session, arrays of shape ``(T, N)``; see ``Told``.

    Row ``t`` rests on rows up to ``t`` and on fits through ``t`` alone: nothing later moves it.
    """

    dates: Dates
    symbols: tuple[str, ...]
    horizon: int
    prices: Floats
    bases: Floats
    daily: Floats
    sigma: Floats
    trust: Floats
    sigmas: Mapping[str, Floats]
    mus: Mapping[str, Floats]
    fold: Fold

    def future(self) -> Floats:
        """Measure what the horizon after each session brought; NaN in the last rows."""
        return forward_returns(self.prices, self.bases, sessions=self.horizon)

    def ending(self, sessions: int) -> "Walk":
        """Keep the last sessions alone, and none of the memory of those before."""

        def kept(array: Floats) -> Floats:
            return array[-sessions:].copy()

        return replace(
            self,
            dates=self.dates[-sessions:],
            prices=kept(self.prices),
            bases=kept(self.bases),
            daily=kept(self.daily),
            sigma=kept(self.sigma),
            trust=kept(self.trust),
            sigmas={name: kept(array) for name, array in self.sigmas.items()},
            mus={name: kept(array) for name, array in self.mus.items()},
        )


def forward_returns(prices: Floats, bases: Floats, *, sessions: int) -> Floats:
    """Measure the return of the following sessions; the last rows, not known yet, are NaN."""
    ahead = np.full(prices.shape, np.nan)
    if prices.shape[0] > sessions:
        ahead[:-sessions] = (prices[sessions:] - prices[:-sessions]) / bases[:-sessions]
    return ahead


def loads_of(panel: MarketPanel) -> dict[int, Parameters]:
    """Lay the good fits out by the session they were fitted through; others are left out."""
    if panel.fits is None:
        return {}
    dates = panel.dates.astype("datetime64[D]")
    begin, end = dates[[0, -1]].tolist()
    good = panel.fits.filter(
        pl.col("omega").is_not_null()
        & pl.col("fitted_session").is_between(begin, end)
        & pl.col("symbol").is_in(panel.symbols)
    ).sort("fitted_session", "symbol")
    if good.is_empty():
        return {}
    fitted = good["fitted_session"].to_numpy().astype("datetime64[D]")
    place = {symbol: j for j, symbol in enumerate(panel.symbols)}
    columns = np.array([place[symbol] for symbol in good["symbol"].to_list()], dtype=np.float64)
    numbers = {name: good[name].to_numpy() for name in PARAMETERS}
    starts = np.flatnonzero(np.append(True, fitted[1:] != fitted[:-1])).tolist()
    loads = {}
    for start, stop in zip(starts, [*starts[1:], fitted.size], strict=True):
        session, rows = int(np.searchsorted(dates, fitted[start])), slice(start, stop)
        if dates[session] == fitted[start]:
            mine = {name: values[rows] for name, values in numbers.items()}
            loads[session] = Parameters(MODEL_ID, columns[rows], mine)
    return loads


def walk(
    panel: MarketPanel,
    *,
    policy: ForecastPolicy,
    horizon: int,
    cards: Mapping[str, Card] = MODELS,
) -> Walk:
    """Fold every model over every session of the panel.

    Parameters
    ----------
    panel
        Prices, ranges and fits.
    policy, horizon
        How mu and sigma are formed, and over how many sessions.
    cards
        The models, all of the registry unless told otherwise.
    """
    fold = Fold(len(panel.symbols), policy=policy, horizon=horizon, cards=cards)
    loads = loads_of(panel)
    told: list[Told] = []
    for t in range(len(panel.dates)):
        if t in loads:
            fold.load(loads[t])
        told.append(fold.observe(panel.bars(t)))
    ids = {
        family: [name for name, card in cards.items() if card.family is family] for family in Family
    }
    return Walk(
        dates=panel.dates,
        symbols=panel.symbols,
        horizon=horizon,
        prices=np.stack([row.prices for row in told]),
        bases=np.stack([row.bases for row in told]),
        daily=np.stack([row.daily for row in told]),
        sigma=np.stack([row.sigma for row in told]),
        trust=np.stack([row.trust for row in told]),
        sigmas={n: np.stack([row.sigmas[n] for row in told]) for n in ids[Family.SIGMA]},
        mus={name: np.stack([row.mus[name] for row in told]) for name in ids[Family.MU]},
        fold=fold,
    )


def session_returns(panel: MarketPanel, *, policy: ForecastPolicy) -> Floats:
    """Measure the return of every session, ``(T, N)``, without asking any model."""
    return daily_returns(panel.close, policy)


def no_fits() -> pl.DataFrame:
    """Give the fits of a store that holds none."""
    return pl.DataFrame(schema=SIGMA_FIT_SCHEMA)
