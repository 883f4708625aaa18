"""The job that makes the projection again, in a recorded run, beside whatever leads."""

import dagster as dg

from instgov_dagster.adapters.runtime import FileLock, Home
from instgov_dagster.adapters.store.projector import live_store
from instgov_dagster.definitions import defs
from instgov_dagster_tests.adapters.store.projector.journals import (
    digests,
    run_project,
    write_session,
)
from instgov_dagster_tests.defs.conftest import Installation


def run_job(installation: Installation) -> dg.ExecuteInProcessResult:
    config = {"resources": {"platform": {"config": installation.config}}}
    job = defs().resolve_job_def("rebuild_projection")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)


def test_the_job_makes_the_projection_again_while_another_leads(fresh: Installation) -> None:
    home = Home(fresh.home)
    write_session(home, range(3))
    run_project(home)
    before = digests(home)
    home.live.write_bytes(b"not a database")
    with FileLock(home.lease):
        result = run_job(fresh)
    assert result.success
    assert digests(home) == before


def test_the_job_fails_where_the_old_projection_said_what_the_journal_does_not(
    fresh: Installation,
) -> None:
    home = Home(fresh.home)
    write_session(home, range(3))
    run_project(home)
    before = digests(home)
    with live_store(home).writer() as con:
        con.execute("UPDATE fills SET price = 1")
    result = run_job(fresh)
    assert not result.success
    assert digests(home) == before
    assert run_job(fresh).success
