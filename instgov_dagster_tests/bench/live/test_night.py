"""The night a live bench stands on: every step finds what it needs, and a session may start."""

from pathlib import Path

from instgov_dagster.adapters.store.published import published_meta
from instgov_dagster.bench.live.night import STEPS
from instgov_dagster.bench.live.worker import lead, open_home, prepare
from instgov_dagster.bench.live.world import LiveWorld
from instgov_dagster.loop.night import STEP_BY_NAME

WORLD = LiveWorld(n_symbols=8)


def test_a_session_is_led_on_the_night_of_a_small_market(tmp_path: Path) -> None:
    prepare(tmp_path, WORLD)
    told = published_meta(open_home(tmp_path).home.published / "night")
    assert told is not None
    assert (told["asof"], told["market"]) == (WORLD.asof.isoformat(), "files")
    row = lead(tmp_path, WORLD, cycles=4, period_seconds=0.0)
    assert (row["cycles"], row["state"]) == (4, "RUNNING")


def test_the_steps_run_are_those_of_the_night_in_its_order() -> None:
    places = [list(STEP_BY_NAME).index(name) for name in STEPS]
    assert places == sorted(places)
