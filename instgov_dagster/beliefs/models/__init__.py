"""The registry of models: every module of `mu` and `sigma` enters its own; adding is one file."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from instgov_dagster.beliefs.models import mu, sigma
from instgov_dagster.beliefs.models.protocol import REGISTERED, Card, Family, Role

__all__ = [
    "BENCHMARK",
    "MODELS",
    "SIGMA_BENCHMARK",
    "Card",
    "Family",
    "Role",
    "card_of",
    "opinions",
]

BENCHMARK = "zero"
SIGMA_BENCHMARK = "rolling_252"

for _family in (mu, sigma):
    for _found in sorted(module.name for module in iter_modules(_family.__path__)):
        import_module(f"{_family.__name__}.{_found}")


def _in_order(cards: Mapping[str, Card]) -> dict[str, Card]:
    # A model stands behind those it needs; among equals the id decides.
    ordered: dict[str, Card] = {}
    waiting = dict(sorted(cards.items()))
    while waiting:
        ready = [name for name, card in waiting.items() if set(card.needs) <= set(ordered)]
        if not ready:
            raise ValueError(f"models must not need each other in a circle: {sorted(waiting)}")
        ordered |= {name: waiting.pop(name) for name in ready}
    return ordered


MODELS: Mapping[str, Card] = MappingProxyType(_in_order(REGISTERED))


def card_of(model_id: str) -> Card:
    """Look a model's card up.

    Raises
    ------
    ValueError
        If no model has that id.
    """
    if model_id not in MODELS:
        raise ValueError(f"model_id must be one of {sorted(MODELS)}, was {model_id!r}")
    return MODELS[model_id]


def opinions(family: Family) -> tuple[str, ...]:
    """List the models of a family whose word counts."""
    return tuple(
        name for name, card in MODELS.items() if card.family is family and card.role is Role.OPINION
    )
