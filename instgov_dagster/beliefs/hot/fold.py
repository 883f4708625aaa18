"""Every model folded along one tape: what stays hot between two cycles, saved and restored."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from instgov_dagster.beliefs.hot.packing import pack_state, unpack_state
from instgov_dagster.beliefs.hot.tape import Bars, Floats, State, Tape
from instgov_dagster.beliefs.models import MODELS, Card, Family, Role
from instgov_dagster.beliefs.models.protocol import FittedNightly
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy

#: What the tape's state is called among the models'.
TAPE = "tape"


class Parameters(NamedTuple):
    """What the night fitted of one model: the columns it is for, and the numbers by name."""

    model_id: str
    columns: Floats
    numbers: dict[str, Floats]


class Told(NamedTuple):
    """What is believed after one session; every array has shape ``(N,)``, NaN = nothing said.

    Attributes
    ----------
    sigma
        The stated deviation of the horizon: the root of the opinions' mean variance.
    trust
        How far it is trusted, 0 to 1: the mean over the opinions of 1 where one speaks from
        returns alone, less where it speaks from aged parameters, 0 where it is silent.
    sigmas, mus
        What each model said, by id; a mu is clipped to the largest Sharpe ratio.
    """

    prices: Floats
    bases: Floats
    daily: Floats
    sigma: Floats
    trust: Floats
    sigmas: dict[str, Floats]
    mus: dict[str, Floats]

    def to_bytes(self) -> bytes:
        """Give every forecast as bytes, for a comparison to the last bit."""
        arrays = [self.sigma, self.trust, *self.sigmas.values(), *self.mus.values()]
        return b"".join(array.tobytes() for array in arrays)


class Fold:
    """The models of one panel, hot: a session in, the forecasts after it out.

    Parameters
    ----------
    n_symbols
        Columns of the panel.
    policy, horizon
        How mu and sigma are formed, and over how many sessions.
    cards
        The models to fold; all of the registry unless told otherwise.
    tape
        What the models look back at; one that holds every row unless told otherwise.
    """

    def __init__(
        self,
        n_symbols: int,
        *,
        policy: ForecastPolicy,
        horizon: int,
        cards: Mapping[str, Card] = MODELS,
        tape: Tape | None = None,
    ) -> None:
        self.policy, self.horizon = policy, horizon
        self._tape = tape or Tape(policy, horizon=horizon)
        self._limit = policy.max_annual_sharpe * np.sqrt(horizon / policy.sessions_per_year)
        self._cards = cards
        self._models = {name: card.build(policy, horizon) for name, card in cards.items()}
        self._names = {
            family: [name for name, card in cards.items() if card.family is family]
            for family in Family
        }
        # asked of a model once: of a protocol the question is dear, and it is put every session
        self._fitted = {
            name: model for name, model in self._models.items() if isinstance(model, FittedNightly)
        }
        self._full_trust = np.ones(n_symbols)
        self._states: dict[str, State] = {
            TAPE: self._tape.start(n_symbols),
            **{name: model.start(n_symbols) for name, model in self._models.items()},
        }

    @property
    def states(self) -> Mapping[str, State]:
        """What is hot: the arrays of the tape and of each model, by owner and name."""
        return self._states

    def names_of(self, family: Family) -> list[str]:
        """List the models of a family in the order in which they speak."""
        return list(self._names[family])

    def twin(self, tape: Tape) -> "Fold":
        """Give a fold that goes on from here with a tape of its own; this one stays as it is."""
        (n_symbols,) = self._states[TAPE]["highest"].shape
        other = Fold(
            n_symbols, policy=self.policy, horizon=self.horizon, cards=self._cards, tape=tape
        )
        for owner, state in other.states.items():
            state.update({name: array.copy() for name, array in self._states[owner].items()})
        return other

    def lane(self, place: int) -> "Fold":
        """Give a fold of one of the panels side by side, going on from here; this one stays."""
        lanes = self._tape.lanes
        (columns,) = self._states[TAPE]["highest"].shape
        n_symbols = columns // lanes
        other = Fold(n_symbols, policy=self.policy, horizon=self.horizon, cards=self._cards)
        mine = slice(place * n_symbols, (place + 1) * n_symbols)
        for owner, state in other.states.items():
            for name, alone in state.items():
                held = self._states[owner][name]
                if held.shape == alone.shape:
                    state[name] = held.copy()
                elif held.shape == (lanes, *alone.shape):
                    state[name] = held[place].copy()
                elif alone.shape == (1,) and held.shape == (lanes,):
                    state[name] = held[place : place + 1].copy()
                else:
                    state[name] = held[..., mine].copy()
        return other

    def load(self, parameters: Parameters) -> None:
        """Hand a model what the night fitted through the session observed next.

        Raises
        ------
        ValueError
            If the model is not one that is fitted nightly.
        """
        model = self._fitted.get(parameters.model_id)
        if model is None:
            raise ValueError(f"model_id must be one fitted nightly, was {parameters.model_id!r}")
        state = self._states[parameters.model_id]
        model.load(state, parameters.columns, parameters.numbers)

    def observe(self, bars: Bars) -> Told:
        """Fold one session in and forecast from it.

        Notes
        -----
        A model that says infinity says nothing: only finite means are read, and only finite,
        positive deviations. mu is clipped to ``|sqrt(252 / H) mu / sigma| <= 1`` (SPEC 3).
        """
        with np.errstate(all="ignore"):
            session = self._tape.observe(self._states[TAPE], bars)
            sigmas: dict[str, Floats] = {}
            for name in self._names[Family.SIGMA]:
                said = self._models[name].observe(self._states[name], session)
                sigmas[name] = np.where(np.isfinite(said) & (said > 0.0), said, np.nan)
            session.sigma, trust = self._stated(sigmas)
            limit = self._limit * session.sigma
            for name in self._names[Family.MU]:
                said = self._models[name].observe(self._states[name], session)
                exists = np.isfinite(said) & np.isfinite(session.sigma)
                clipped = np.where(exists, np.clip(said, -limit, limit), np.nan)
                session.forecasts[name] = clipped
            self._tape.close(self._states[TAPE], session)
        return Told(
            prices=session.prices,
            bases=session.bases.copy(),
            daily=session.daily,
            sigma=session.sigma,
            trust=trust,
            sigmas=sigmas,
            mus=session.forecasts,
        )

    def _stated(self, sigmas: dict[str, Floats]) -> tuple[Floats, Floats]:
        # Equal weights in variance: estimated ones rarely beat them (Timmermann 2006).
        names = [name for name in sigmas if self._cards[name].role is Role.OPINION]
        said = np.stack([sigmas[name] for name in names])
        speaks = np.isfinite(said)
        trusts = np.stack([self._trust(name) for name in names])
        count = speaks.sum(axis=0)
        total = np.where(speaks, said * said, 0.0).sum(axis=0)
        sigma = np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)
        return sigma, np.where(speaks, trusts, 0.0).sum(axis=0) / len(names)

    def _trust(self, name: str) -> Floats:
        model = self._fitted.get(name)
        return self._full_trust if model is None else model.trust(self._states[name])

    def pack(self) -> bytes:
        """Save everything that is hot; a fold restored from it continues bit-equal."""
        flat = {
            f"{owner}/{name}": array
            for owner, state in self._states.items()
            for name, array in state.items()
        }
        return pack_state(flat)

    def restore(self, packed: bytes) -> Self:
        """Take over what another fold of the same shape and models saved.

        Raises
        ------
        ValueError
            If the bytes are damaged, or are of other models, shapes or windows.
        """
        flat = unpack_state(packed)
        held = {f"{owner}/{name}" for owner, state in self._states.items() for name in state}
        if set(flat) != held:
            raise ValueError(f"a saved state must have {sorted(held)}, had {sorted(flat)}")
        for owner, state in self._states.items():
            for name, array in state.items():
                saved = flat[f"{owner}/{name}"]
                if saved.shape != array.shape or saved.dtype != array.dtype:
                    raise ValueError(
                        f"{owner}/{name} must have shape {array.shape}, was {saved.shape}"
                    )
                state[name] = saved
        return self
