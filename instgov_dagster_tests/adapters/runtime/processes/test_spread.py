"""Shared work: the answers of a plain map, in its order, whoever did them."""

import math

from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread


def test_few_jobs_are_done_here_and_many_by_processes_with_the_same_answers() -> None:
    jobs = [float(k) for k in range(9, 0, -1)]
    plain = [math.sqrt(job) for job in jobs]
    assert list(ProcessSpread(parallel_from=10, workers=2)(math.sqrt, jobs)) == plain
    assert list(ProcessSpread(parallel_from=9, workers=2)(math.sqrt, jobs)) == plain
    assert list(ProcessSpread(parallel_from=1, workers=1)(math.sqrt, jobs)) == plain
    assert list(ProcessSpread(parallel_from=1, workers=2)(math.sqrt, [])) == []
