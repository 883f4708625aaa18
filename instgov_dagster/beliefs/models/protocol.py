"""The one protocol of every model, and the card it is registered with; no model lives here."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


class Family(StrEnum):
    """What a model forecasts: the mean of the return over the horizon, or its deviation."""

    MU = "mu"
    SIGMA = "sigma"


class Role(StrEnum):
    """How far a model's word goes.

    Notes
    -----
    An opinion counts in the disagreement, among the healthy models and in the stated sigma. A
    derived model repeats opinions and counts in none of them; neither does the benchmark.
    """

    OPINION = "opinion"
    DERIVED = "derived"
    BENCHMARK = "benchmark"


class Model(Protocol):
    """A fold over sessions: it learns from what each one reveals, then forecasts from it.

    Notes
    -----
    A model holds no numbers of its own: all it knows lies in the state it was handed, so that
    saving the state saves the model. It sees no session after the one it forecasts from; the law
    of the forecast is read off mu and sigma (``predictive``).
    """

    def start(self, n_symbols: int) -> State:
        """Know nothing yet, of ``N`` symbols."""
        ...

    def observe(self, state: State, session: Session) -> Floats:
        """Learn from the session, in place, and forecast the horizon after it.

        Returns
        -------
        Shape ``(N,)``, mu or sigma of the return over the horizon, NaN where there is nothing to
        say.
        """
        ...


@runtime_checkable
class FittedNightly(Protocol):
    """A model whose parameters are estimated by the night and handed to its state."""

    def load(self, state: State, columns: Floats, parameters: dict[str, Floats]) -> None:
        """Take over the parameters of some columns, in place."""
        ...

    def trust(self, state: State) -> Floats:
        """State how far the parameters held are still trusted, shape ``(N,)``, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the registry knows of a model.

    Attributes
    ----------
    needs
        Models whose forecasts of the same session it reads.
    parameters
        Fields of the policy that make it this variant: they name it in the trials ledger.
    """

    model_id: str
    family: Family
    role: Role
    build: Callable[[ForecastPolicy, int], Model]
    needs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


_T = TypeVar("_T", bound=Callable[[ForecastPolicy, int], Model])
REGISTERED: dict[str, Card] = {}


def register(
    model_id: str,
    family: Family,
    role: Role,
    *,
    needs: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
) -> Callable[[_T], _T]:
    """Enter a model class in the registry under its id.

    Raises
    ------
    ValueError
        If the id is taken.
    """

    def enter(build: _T) -> _T:
        if model_id in REGISTERED:
            raise ValueError(f"model_id must be free, {model_id!r} was taken")
        REGISTERED[model_id] = Card(
            model_id=model_id,
            family=family,
            role=role,
            build=build,
            needs=needs,
            parameters=parameters,
        )
        return build

    return enter
