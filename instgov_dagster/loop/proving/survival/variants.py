"""The same system with a gate taken away, or with all of them: what each cost and what it saved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from instgov_dagster.loop.proving.survival.knowing.world import World
from instgov_dagster.vocabulary.governance.policy import StageCaps

#: The main walk's own name, and that of the walk without any governance.
GOVERNED: Final = "governed"
UNGOVERNED: Final = "governance_off"
# A CVaR limit no unlevered long book reaches: the measures stay, the gate never shuts.
_NO_LIMIT: Final = 1.0


def _without_cvar(world: World) -> World:
    cvar = replace(world.policy.cvar, portfolio_limit=_NO_LIMIT, marginal_limit=_NO_LIMIT)
    return replace(world, policy=replace(world.policy, cvar=cvar))


def _without_regime(world: World) -> World:
    return replace(world, has_regime_gate=False)


def _without_vetoes(world: World) -> World:
    return replace(world, has_vetoes=False)


def _without_coverage(world: World) -> World:
    return replace(world, has_coverage_block=False)


def _without_book_gates(world: World) -> World:
    limits = replace(world.policy.limits, drawdown=0.999, correlation=1.0)
    return replace(world, policy=replace(world.policy, limits=limits))


def _without_lifecycle(world: World) -> World:
    # Every strategy has an equal share of all capital from the first day on, proven or not.
    lives = world.policy.lifecycle
    share = 100.0 / len(world.policy.models.strategies)
    caps = StageCaps(incubating=share, scaling=share, harvesting=share, decommissioned=0.0)
    never = replace(lives.decommission, drawdown=1.0, psr=0.0, capital_decay=0.0, vetoes=1_000_000)
    free = replace(lives, stage_caps=caps, decommission=never, half_life_sessions=1e9)
    return replace(world, policy=replace(world.policy, lifecycle=free))


#: One gate each: the world without it.
GATES: Final[Mapping[str, Callable[[World], World]]] = {
    "cvar": _without_cvar,
    "regime": _without_regime,
    "vetoes": _without_vetoes,
    "lifecycle": _without_lifecycle,
    "book": _without_book_gates,
    "coverage": _without_coverage,
}


def without(world: World, gate: str) -> World:
    """Give the world without one gate.

    Raises
    ------
    KeyError
        If there is no such gate.
    """
    return GATES[gate](world)


def ungoverned(world: World) -> World:
    """Give the world without any of the gates; costs, caps by name and the auction itself stay."""
    for gate in GATES.values():
        world = gate(world)
    return world
