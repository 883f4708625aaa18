"""The bench of the beliefs: ours first, every measure beside a named peer, bad sizes refused."""

import pytest

from instgov_dagster.bench.beliefs import MEASURES, bench_beliefs
from instgov_dagster.vocabulary.errors import InputError


def test_ours_stands_first_and_each_measure_has_a_peer_in_the_same_run() -> None:
    told = []
    rows = bench_beliefs((6,), n_sessions=600, on_row=told.append)
    assert [row["engine"] for row in rows] == ["instgov", "pandas", "arch", "hmmlearn"]
    assert told == rows
    ours = rows[0]
    assert all(ours[name] > 0 for name in MEASURES)
    peers = {name: [row for row in rows[1:] if row[name] is not None] for name in MEASURES}
    for name in ("garch_seconds_a_symbol", "filter_update_us", "live_update_ms"):
        assert len(peers[name]) == 1, name
    assert not any(row["timed_out"] for row in rows)


@pytest.mark.parametrize("size", [0, 5001, True])
def test_a_size_out_of_bounds_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="from 1 to 5000"):
        bench_beliefs((size,))
