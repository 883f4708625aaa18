"""What each session reveals, folded one session at a time; no forecasts are made here."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

Floats: TypeAlias = NDArray[np.float64]
State: TypeAlias = dict[str, NDArray[Any]]

# a larger return is no return: its square would be infinite, and every sum after it
_LARGEST_RETURN = 1e100
_COUNT, _SUM, _SQUARE = range(3)


class Bars(NamedTuple):
    """One session's adjusted bars, each of shape ``(N,)``; NaN where unknown."""

    close: Floats
    open: Floats
    high: Floats
    low: Floats


def closes_only(close: Floats) -> Bars:
    """Give bars of which only the closes are known."""
    unknown = np.full(close.shape, np.nan)
    return Bars(close, unknown, unknown, unknown)


class Moments(NamedTuple):
    """Returns known in a trailing window, their mean and their standard deviation, ``(N,)``."""

    known: Floats
    mean: Floats
    deviation: Floats


class Session:
    """What is known once a session is over: all a model may learn and forecast from.

    Attributes
    ----------
    bars, prices, bases, daily
        Shape ``(N,)``: the session's bars, its closes (NaN unless finite), what a return that
        starts here is divided by, and the return of the session.
    sigma
        Shape ``(N,)``: the volatility stated for the horizon; NaN until the sigma models spoke.
    matured
        Shape ``(N,)``: the return of the horizon that ended here over the volatility stated for
        it when it began. It is what a model learns from; NaN where there is none.
    forecasts
        What the mu models before this one said, by id.
    """

    __slots__ = (
        "_state", "_tape", "bars", "bases", "daily", "forecasts", "matured", "prices", "sigma",
    )  # fmt: skip

    def __init__(self, tape: "Tape", state: State, bars: Bars) -> None:
        self._tape, self._state = tape, state
        self.bars = bars
        self.prices = self.bases = self.daily = self.matured = bars.close
        self.sigma = np.full(bars.close.shape, np.nan)
        self.forecasts: dict[str, Floats] = {}

    @property
    def horizon(self) -> int:
        """Sessions a forecast looks ahead."""
        return self._tape.horizon

    @property
    def lanes(self) -> int:
        """How many panels lie side by side in the columns; each is pooled alone."""
        return self._tape.lanes

    def pooled(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum over the symbols of each lane: ``(..., L N)`` to ``(..., L)``."""
        total: NDArray[Any] = values.reshape(*values.shape[:-1], self.lanes, -1).sum(axis=-1)
        return total

    def spread(self, values: Floats) -> Floats:
        """Hand what a lane has in common to its symbols; one lane's broadcasts by itself."""
        n_symbols = self.prices.shape[-1] // self.lanes
        return values if self.lanes == 1 else np.repeat(values, n_symbols, axis=-1)

    def prices_ago(self, sessions: int) -> Floats:
        """Give the closes of an earlier session; NaN before the first."""
        return self._tape.ago(self._state, "prices", sessions)

    def past_returns(self, sessions: int, *, skip: int = 0) -> Floats:
        """Measure the return from ``sessions`` ago to ``skip`` sessions ago."""
        begin = self.prices_ago(sessions)
        end = self.prices_ago(skip)
        return (end - begin) / self._tape.ago(self._state, "bases", sessions)

    def moments(self, window: int) -> Moments:
        """Summarise the returns of the trailing window, shorter at the start."""
        return self._tape.moments(self._state, window)


def _median_known(rows: Floats) -> Floats:
    # The median of each column's finite values, of which there is one: NaN sorts last. It is
    # numpy's nanmedian without the masked arrays, which cost more than all the rest of a session.
    ordered = np.sort(rows, axis=0)
    known = np.isfinite(rows).sum(axis=0)
    columns = np.arange(rows.shape[1])
    lower = ordered[np.maximum(known - 1, 0) // 2, columns]
    upper = ordered[np.minimum(known // 2, rows.shape[0] - 1), columns]
    middle: Floats = (lower + upper) / 2.0
    return middle


class Tape:
    """The fold over sessions that every model shares: prices, bases, returns, running sums.

    Parameters
    ----------
    policy
        The return base and the longest windows.
    horizon
        Sessions a forecast looks ahead.
    lanes
        Panels that are folded side by side, their symbols one after another in the columns.

    Notes
    -----
    A return is the price change over a floored base (SPEC 4): oil closed at -37.63 on
    2020-04-20, and a return on a base near zero is no statement about risk. Window sums are
    differences of running sums, so a session costs O(N) whatever the window.
    """

    def __init__(self, policy: ForecastPolicy, *, horizon: int, lanes: int = 1) -> None:
        self.policy, self.horizon, self.lanes = policy, horizon, lanes
        self._rows = 1 + max(
            policy.mean_sessions,
            policy.momentum_lookback_sessions,
            policy.base_floor_sessions,
            policy.sigma.rolling_sessions,
            *policy.ridge_lags,
            horizon,
        )

    def start(self, n_symbols: int) -> State:
        """Begin before the first session of ``N`` symbols."""
        shape = (self._rows, n_symbols)
        return {
            "seen": np.zeros(1, dtype=np.int64),
            "prices": np.full(shape, np.nan),
            "bases": np.full(shape, np.nan),
            "sums": np.zeros((3, *shape)),
            "running": np.zeros((3, n_symbols)),
            "highest": np.full(n_symbols, -np.inf),
            "sigma": np.full((self.horizon + 1, n_symbols), np.nan),
        }

    def ago(self, state: State, name: str, sessions: int) -> Floats:
        """Look a row up that was written ``sessions`` ago; NaN before the first."""
        seen = int(state["seen"][0])
        rows: Floats = state[name]
        if sessions >= seen:
            return np.full(rows.shape[1], np.nan)
        row: Floats = rows[(seen - 1 - sessions) % rows.shape[0]]
        return row

    def moments(self, state: State, window: int) -> Moments:
        """Summarise the returns of the trailing window, see ``Session.moments``."""
        total = state["running"]
        if int(state["seen"][0]) > window:
            total = total - self._summed(state, window)
        known = total[_COUNT]
        mean = total[_SUM] / np.maximum(known, 1.0)
        square = total[_SQUARE] / np.maximum(known, 1.0)
        spread = np.maximum(square - mean * mean, 0.0) * known / np.maximum(known - 1.0, 1.0)
        return Moments(known, mean, np.sqrt(spread))

    def observe(self, state: State, bars: Bars) -> Session:
        """Take one session's bars in and give what is known after it."""
        session = Session(self, state, bars)
        prices = np.where(np.isfinite(bars.close), bars.close, np.nan)
        change = (prices - self.ago(state, "prices", 0)) / self.ago(state, "bases", 0)
        daily = np.where(np.abs(change) < _LARGEST_RETURN, change, np.nan)
        state["seen"] += 1
        self._keep(state, "prices", prices)
        bases = self._bases(state, prices)
        self._keep(state, "bases", bases)
        is_known = np.isfinite(daily)
        known = np.where(is_known, daily, 0.0)
        state["running"] += np.stack([is_known.astype(np.float64), known, known * known])
        self._keep(state, "sums", state["running"])
        session.prices, session.bases, session.daily = prices, bases, daily
        begun = int(state["seen"][0]) - 1 - self.horizon
        stated = state["sigma"][begun % (self.horizon + 1)]
        unknown = np.full(prices.shape, np.nan)
        session.matured = session.past_returns(self.horizon) / (stated if begun >= 0 else unknown)
        return session

    def close(self, state: State, session: Session) -> None:
        """Keep the volatility stated, for the day its horizon ends."""
        state["sigma"][(int(state["seen"][0]) - 1) % (self.horizon + 1)] = session.sigma

    def _keep(self, state: State, name: str, row: Floats) -> None:
        # Write what the session brought where `ago` finds it as the newest.
        state[name][..., (int(state["seen"][0]) - 1) % self._rows, :] = row

    def _summed(self, state: State, sessions: int) -> Floats:
        # The running sums as they stood `sessions` ago, of which there were more.
        sums: Floats = state["sums"]
        return sums[:, (int(state["seen"][0]) - 1 - sessions) % self._rows]

    def _recent(self, state: State, sessions: int, columns: NDArray[np.intp]) -> Floats:
        # The newest closes of some columns, the order of the rows is no matter.
        rows = (int(state["seen"][0]) - 1 - np.arange(sessions)) % self._rows
        recent: Floats = state["prices"][np.ix_(rows, columns)]
        return recent

    def _bases(self, state: State, prices: Floats) -> Floats:
        policy = self.policy
        np.fmax(state["highest"], prices, out=state["highest"])
        bases = prices.copy()
        # elsewhere the floor cannot bind: no median exceeds the highest price
        low = np.flatnonzero(prices < policy.base_floor_share * state["highest"])
        if low.size:
            held = min(int(state["seen"][0]), policy.base_floor_sessions)
            median = _median_known(self._recent(state, held, low))
            bases[low] = np.fmax(prices[low], policy.base_floor_share * median)
        return np.where(bases > 0, bases, np.nan)


def daily_returns(close: Floats, policy: ForecastPolicy) -> Floats:
    """Measure the return of every session of ``(T, N)`` closes at once, as `Tape.observe` does."""
    prices = np.where(np.isfinite(close), close, np.nan)
    bases = prices.copy()
    highest = np.fmax.accumulate(prices, axis=0)
    is_low = prices < policy.base_floor_share * highest
    for t in np.flatnonzero(is_low.any(axis=1)).tolist():
        low = np.flatnonzero(is_low[t])
        recent = prices[max(t + 1 - policy.base_floor_sessions, 0) : t + 1, low]
        bases[t, low] = np.fmax(prices[t, low], policy.base_floor_share * _median_known(recent))
    bases = np.where(bases > 0, bases, np.nan)
    daily = np.full(close.shape, np.nan)
    with np.errstate(all="ignore"):
        change = (prices[1:] - prices[:-1]) / bases[:-1]
    daily[1:] = np.where(np.abs(change) < _LARGEST_RETURN, change, np.nan)
    return daily
