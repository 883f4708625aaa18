"""The registry: one file adds a model, needs come first, an id is taken once."""

import sys

import numpy as np
import pytest

from instgov_dagster.beliefs import models
from instgov_dagster.beliefs.models import MODELS, Family, Role
from instgov_dagster.beliefs.models.protocol import REGISTERED, FittedNightly, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy


def test_every_model_stands_behind_those_it_needs() -> None:
    order = list(MODELS)
    for name, card in MODELS.items():
        assert all(order.index(need) < order.index(name) for need in card.needs)


def test_an_id_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'zero' was taken"):
        register("zero", Family.MU, Role.OPINION)(MODELS["zero"].build)
    assert REGISTERED["zero"].role is Role.BENCHMARK


def test_every_module_of_the_two_families_enters_a_model_of_its_own() -> None:
    modules = {build.__module__ for build in (card.build for card in MODELS.values())}
    wanted = {
        name
        for name in sys.modules
        if name.startswith((f"{models.__name__}.mu.", f"{models.__name__}.sigma."))
    }
    assert modules == wanted


def test_a_circle_of_needs_is_refused() -> None:
    from instgov_dagster.beliefs.models import _in_order
    from instgov_dagster.beliefs.models.protocol import Card

    def card(name: str, need: str) -> Card:
        build = MODELS["zero"].build
        return Card(model_id=name, family=Family.MU, role=Role.DERIVED, build=build, needs=(need,))

    with pytest.raises(ValueError, match="circle"):
        _in_order({"a": card("a", "b"), "b": card("b", "a")})


def test_only_garch_waits_for_the_nights_parameters_and_all_start_the_same_twice() -> None:
    for name, card in MODELS.items():
        model = card.build(ForecastPolicy(), 5)
        assert isinstance(model, FittedNightly) == (name == "gjr_garch_t")
        first, second = model.start(3), model.start(3)
        assert {n: a.tobytes() for n, a in first.items()} == {
            n: a.tobytes() for n, a in second.items()
        }
        assert all(isinstance(array, np.ndarray) for array in first.values())
