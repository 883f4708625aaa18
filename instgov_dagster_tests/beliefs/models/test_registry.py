"""The registry: one file adds a model, needs come first, an id is taken once."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from instgov_dagster.beliefs import models
from instgov_dagster.beliefs.hot.tape import Floats, Session, State
from instgov_dagster.beliefs.hot.walk import walk
from instgov_dagster.beliefs.models import MODELS, Family, Role
from instgov_dagster.beliefs.models.protocol import REGISTERED, FittedNightly, register
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy
from instgov_dagster_tests.beliefs.conftest import drawn_panel, market_of


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


GUIDE = Path(__file__).parents[3] / "docs" / "beliefs.md"


def test_the_model_of_the_guide_is_one_class_and_is_folded_like_the_others() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    known = set(REGISTERED)
    names = {
        "register": register, "Family": Family, "Role": Role, "ForecastPolicy": ForecastPolicy,
        "State": State, "Floats": Floats, "Session": Session,
    }  # fmt: skip
    exec(code, names)  # noqa: S102  # the guide's own code
    (new,) = set(REGISTERED) - known
    card = REGISTERED.pop(new)
    panel = drawn_panel(seed=91, sessions=40, symbols=3)
    found = walk(market_of(panel), policy=ForecastPolicy(), horizon=5, cards={**MODELS, new: card})
    assert new not in MODELS
    assert np.isnan(found.mus[new][-1]).all()  # no sigma before 63 returns, so no forecast
    longer = drawn_panel(seed=91, sessions=90, symbols=3)
    found = walk(market_of(longer), policy=ForecastPolicy(), horizon=5, cards={**MODELS, new: card})
    expected = 5 * found.daily[1:].mean(axis=0)
    limit = found.sigma[-1] * np.sqrt(5 / 252)
    assert found.mus[new][-1] == pytest.approx(np.clip(expected, -limit, limit), rel=1e-9)
