"""What a regression run measures: each bench at a small size, and the ratios read from its rows."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from instgov_dagster.bench.regression.judging import Ratio

Rows = list[dict[str, Any]]

#: By what share a ratio may fall: of processor time a third, of time on the wall half. A machine
#: that is busy with something else delays one engine more than the other.
OF_CPU: Final = 0.35
OF_WALL: Final = 0.5

_OURS: Final = {"engine": "instgov"}
_FULL: Final = {"programme": "full"}


def _ingest() -> Rows:
    from instgov_dagster.bench.ingest.command import bench_ingest

    return bench_ingest([100], n_sessions=1260, peer_symbols=100)


def _shards() -> Rows:
    from instgov_dagster.bench.ingest.shards import bench_shards

    return bench_shards([800], workers=4)


def _auction() -> Rows:
    from instgov_dagster.bench.auction.command import bench_auction

    engines = ("instgov", "cvxpy+HIGHS", "cvxpy+CLARABEL")
    return bench_auction([100], engines=engines, n_ticks=60, tick_seconds=10.0)


def _beliefs() -> Rows:
    from instgov_dagster.bench.beliefs import bench_beliefs

    return bench_beliefs([100], peer_seconds=30.0)


def _live() -> Rows:
    from instgov_dagster.bench.live.command import bench_live

    return bench_live([60], seconds=30.0, period_seconds=0.0)


def _survive() -> Rows:
    from instgov_dagster.bench.survive import bench_survive

    return bench_survive([8], peer_seconds=30.0)


BENCHES: Final[Mapping[str, Callable[[], Rows]]] = MappingProxyType(
    {
        "ingest": _ingest,
        "shards": _shards,
        "auction": _auction,
        "beliefs": _beliefs,
        "live": _live,
        "survive": _survive,
    }
)


def _against(bench: str, engine: str, measure: str, **more: Any) -> Ratio:
    same = more.pop("same", {})
    return Ratio(
        name=f"{bench}: {measure} beside {engine}",
        bench=bench,
        ours=_OURS | same,
        peer={"engine": engine} | same,
        measure=measure,
        **more,
    )


def ratios() -> tuple[tuple[Ratio, float], ...]:
    """Give each ratio with its tolerance."""
    shards = Ratio(
        name="shards: seconds of 4 workers beside one",
        bench="shards",
        ours={"engine": "instgov-shards"},
        peer={"engine": "instgov-one-process"},
        measure="seconds",
    )
    return (
        (_against("ingest", "pandas-sqlite", "cpu_seconds"), OF_CPU),
        (_against("ingest", "pandas-sqlite", "second_seconds"), OF_WALL),
        (shards, OF_WALL),
        (_against("auction", "cvxpy+HIGHS", "cpu_seconds", same=_FULL), OF_CPU),
        (_against("auction", "cvxpy+CLARABEL", "tick_cpu_ms_p50", same=_FULL), OF_CPU),
        (_against("beliefs", "arch", "garch_seconds_a_symbol"), OF_CPU),
        (_against("beliefs", "hmmlearn", "filter_update_us"), OF_WALL),
        (_against("beliefs", "pandas", "live_update_ms"), OF_WALL),
        (_against("live", "process+cvxpy+duckdb", "cycle_ms_p50"), OF_WALL),
        (_against("survive", "skfolio", "sessions_per_second", is_rate=True), OF_WALL),
    )


def tolerances() -> dict[str, float]:
    """Give the tolerance of each ratio by its name."""
    return {ratio.name: tolerance for ratio, tolerance in ratios()}


def measure(
    names: Sequence[str], *, on_bench: Callable[[str], None] | None = None
) -> dict[str, float | None]:
    """Run benches one after another and give their ratios by name.

    Parameters
    ----------
    on_bench
        Told the name of each before it runs.
    """
    found: dict[str, float | None] = {}
    for name in names:
        if on_bench is not None:
            on_bench(name)
        rows = BENCHES[name]()
        found |= {ratio.name: ratio.of(rows) for ratio, _ in ratios() if ratio.bench == name}
    return found
