"""The day under way: one session more on the night's state, which no tick of it changes."""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from instgov_dagster.beliefs.hot.fold import TAPE, Fold, Told
from instgov_dagster.beliefs.hot.packing import pack_state, unpack_state
from instgov_dagster.beliefs.hot.tape import Bars, Floats, State, Tape, closes_only
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

_RINGS = ("prices", "bases", "sums")
# copied for every tick, because a session writes into them
_WRITTEN = ("seen", "running", "highest", "sigma")


class DayTape(Tape):
    """A tape of the rows that one session more looks back at, instead of all of them.

    Notes
    -----
    ``<ring>_ago`` names the rows held, in sessions before the night's last one. What the day
    brings lies beside the night's rows, never in them. A row that is not held is unknown: a
    model that asks for it has nothing to say.
    """

    def start(self, n_symbols: int) -> State:
        """Begin with no row of ``N`` symbols; the night's are taken over by ``restore``."""
        none = np.zeros(0, dtype=np.int64)
        return {
            "seen": np.zeros(1, dtype=np.int64),
            "running": np.zeros((3, n_symbols)),
            "highest": np.full(n_symbols, -np.inf),
            "sigma": np.full((self.horizon + 1, n_symbols), np.nan),
            "prices": np.zeros((0, n_symbols)),
            "bases": np.zeros((0, n_symbols)),
            "sums": np.zeros((3, 0, n_symbols)),
            **{f"{name}_ago": none for name in _RINGS},
        }

    def ago(self, state: State, name: str, sessions: int) -> Floats:
        """Look a row up as it stood ``sessions`` ago; NaN where it is not held."""
        is_today = f"{name}_now" in state
        if is_today and sessions == 0:
            return state[f"{name}_now"]
        return self._night(state, name, sessions - is_today)

    @staticmethod
    def _night(state: State, name: str, ago: int) -> Floats:
        held: NDArray[np.int64] = state[f"{name}_ago"]
        place = int(np.searchsorted(held, ago))
        if place == held.size or held[place] != ago:
            return np.full((*state[name].shape[:-2], state[name].shape[-1]), np.nan)
        row: Floats = state[name][..., place, :]
        return row

    def _keep(self, state: State, name: str, row: Floats) -> None:
        state[f"{name}_now"] = row

    def _summed(self, state: State, sessions: int) -> Floats:
        return self.ago(state, "sums", sessions)

    def _recent(self, state: State, sessions: int, columns: NDArray[np.intp]) -> Floats:
        return np.stack([self.ago(state, "prices", k)[columns] for k in range(sessions)])


class _Reader(Tape):
    # A tape that notes which of the night's rows one session more looks back at.

    def __init__(self, policy: ForecastPolicy, *, horizon: int, seen: int) -> None:
        super().__init__(policy, horizon=horizon)
        self._night_seen = seen
        floor = range(min(seen, policy.base_floor_sessions))
        self.read: dict[str, set[int]] = {"prices": set(floor), "bases": set(), "sums": set()}

    def _note(self, state: State, name: str, sessions: int) -> None:
        ago = sessions - (int(state["seen"][0]) - self._night_seen)
        if 0 <= ago < self._night_seen:
            self.read[name].add(ago)

    def ago(self, state: State, name: str, sessions: int) -> Floats:
        self._note(state, name, sessions)
        return super().ago(state, name, sessions)

    def _summed(self, state: State, sessions: int) -> Floats:
        self._note(state, "sums", sessions)
        return super()._summed(state, sessions)


def seal_day(fold: Fold) -> bytes:
    """Save of a fold what forecasting from one session more takes; the fold goes on unchanged.

    Returns
    -------
    Bytes for ``DayFold.restore``: about 4 KB a symbol, where the whole state has 50.

    Raises
    ------
    ValueError
        If no session was folded yet.

    Notes
    -----
    Which rows a model looks back at is not asked but observed: a session of the last closes is
    folded on a copy, and the rows that were read are the rows that are saved, together with
    those the floor of a return's base may need.
    """
    states = {owner: dict(state) for owner, state in fold.states.items()}
    tape = states[TAPE]
    seen = int(tape["seen"][0])
    if not seen:
        raise ValueError("a day must follow a session, was the first")
    reader = _Reader(fold.policy, horizon=fold.horizon, seen=seen)
    trial = fold.twin(reader)
    trial.observe(closes_only(reader.ago(tape, "prices", 0).copy()))
    del states[TAPE]
    flat = {f"{owner}/{name}": a for owner, state in states.items() for name, a in state.items()}
    rows = tape["prices"].shape[0]
    for name in _WRITTEN:
        flat[f"{TAPE}/{name}"] = tape[name]
    for name in _RINGS:
        held = np.array(sorted(reader.read[name]), dtype=np.int64)
        flat[f"{TAPE}/{name}_ago"] = held
        flat[f"{TAPE}/{name}"] = tape[name][..., (seen - 1 - held) % rows, :]
    return pack_state(flat)


class HotModels(Protocol):
    """What a cycle asks of the night's models, whoever keeps them."""

    @property
    def horizon(self) -> int:
        """Sessions a forecast looks ahead."""
        ...

    def observe(self, bars: Bars) -> Told:
        """Forecast as if the session under way closed at these bars; nothing is carried on."""
        ...

    def last_prices(self) -> Floats:
        """Give the closes of the night's last session, NaN where unknown, shape ``(N,)``."""
        ...


class WholeFold:
    """A night's whole fold as the day's models: what `DayFold` says, without saving it first.

    Parameters
    ----------
    fold
        After the night's last session; left as it is.
    """

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self.horizon = fold.horizon

    def observe(self, bars: Bars) -> Told:
        """Forecast as if the session under way closed at these bars."""
        tape = Tape(self._fold.policy, horizon=self._fold.horizon)
        return self._fold.twin(tape).observe(bars)

    def last_prices(self) -> Floats:
        """Give the closes of the night's last session, NaN where unknown, shape ``(N,)``."""
        tape = Tape(self._fold.policy, horizon=self._fold.horizon)
        return tape.ago(self._fold.states[TAPE], "prices", 0)


class DayFold(Fold):
    """The night's models, hot: the day's prices in, the forecasts from them out.

    Every call of ``observe`` folds its bars on the state the night left, not on what an earlier
    call saw: a tick is a pure function of the night and of its own prices. So nothing has to be
    carried from tick to tick, and whoever restores the same night says the same to the bit.
    """

    def __init__(self, n_symbols: int, *, policy: ForecastPolicy, horizon: int) -> None:
        tape = DayTape(policy, horizon=horizon)
        super().__init__(n_symbols, policy=policy, horizon=horizon, tape=tape)
        self._night = self._states

    def observe(self, bars: Bars) -> Told:
        """Forecast as if the session under way closed at these bars."""
        tape = self._night[TAPE]
        self._states = {
            owner: {name: array.copy() for name, array in state.items()}
            for owner, state in self._night.items()
            if owner != TAPE
        }
        self._states[TAPE] = {**tape, **{name: tape[name].copy() for name in _WRITTEN}}
        try:
            return super().observe(bars)
        finally:
            self._states = self._night

    def last_prices(self) -> Floats:
        """Give the closes of the night's last session, NaN where unknown, shape ``(N,)``."""
        tape = self._night[TAPE]
        return DayTape(self.policy, horizon=self.horizon).ago(tape, "prices", 0)

    def restore(self, packed: bytes) -> Self:
        """Take over what ``seal_day`` saved.

        Raises
        ------
        ValueError
            If the bytes are damaged, or are of other models or another number of symbols.
        """
        flat = unpack_state(packed)
        held = {f"{owner}/{name}" for owner, state in self._night.items() for name in state}
        if set(flat) != held:
            raise ValueError(f"a sealed night must have {sorted(held)}, had {sorted(flat)}")
        for owner, state in self._night.items():
            for name, array in state.items():
                saved = flat[f"{owner}/{name}"]
                is_free = owner == TAPE and name not in _WRITTEN
                wanted, found = (array.shape, saved.shape)
                if is_free:  # how many rows are held is the night's to say
                    wanted, found = (wanted[2:] or wanted[1:]), (found[2:] or found[1:])
                if found != wanted or saved.dtype != array.dtype:
                    raise ValueError(
                        f"{owner}/{name} must have shape {array.shape}, was {saved.shape}"
                    )
                state[name] = saved
        return self
