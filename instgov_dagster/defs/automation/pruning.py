"""History kept small: old session runs with all that hangs on them, payloads past their time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from instgov_dagster.defs.resources import PlatformResource
from instgov_dagster.vocabulary.policy.operations import OperationsPolicy

if TYPE_CHECKING:
    from instgov_dagster.adapters.runtime import Home

#: The jobs that run with every session; a night's run, one a day, is kept.
PRUNED_JOBS = (
    "governed_live_loop", "after_session", "prune_history", "fire_drills", "ingest_shards",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a pruning took away: runs, rows of checks, and the folder's size before and after."""

    runs: tuple[str, ...]
    check_rows: int
    before_mib: float | None
    after_mib: float | None


@dg.op(out=dg.Out(dg.Nothing), description="Delete old runs of sessions and of what follows them.")
def pruned_history(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Prune by the installation's policy; anchors are of no run, so they stay."""
    from instgov_dagster.adapters.runtime import RealClock
    from instgov_dagster.defs.automation.alerts import operations

    policy, now = operations(platform.settings().config_dir), RealClock().now()
    pruned = prune(
        context.instance,
        platform.layout().dagster,
        before=now - timedelta(days=policy.history_keep_days),
        keep=policy.history_keep_runs,
    )
    files = prune_files(platform.layout(), policy, now)
    context.add_output_metadata({**_facts(pruned), **files})


def prune_files(home: "Home", policy: OperationsPolicy, now: datetime) -> dict[str, int]:
    """Delete payloads past their time, and shards of nights long taken in; count both."""
    from instgov_dagster.adapters.markets.delivery import prune_shards
    from instgov_dagster.adapters.store.archive import prune_archive

    payloads = prune_archive(home.raw, before=now - timedelta(days=policy.raw_keep_days))
    # What was appended stands in the warehouse: shards wait for their night and no longer.
    last = (now - timedelta(days=policy.history_keep_days)).date()
    return {"payloads": len(payloads), "shard_days": len(prune_shards(home.shards, before=last))}


def _facts(pruned: "Pruned") -> dict[str, int | float]:
    sizes = {"before_mib": pruned.before_mib, "after_mib": pruned.after_mib}
    seen = {name: value for name, value in sizes.items() if value is not None}
    return {"runs": len(pruned.runs), "check_rows": pruned.check_rows, **seen}


def prune(instance: dg.DagsterInstance, folder: Path, *, before: datetime, keep: int) -> Pruned:
    """Delete the finished runs of the jobs that come with sessions.

    Parameters
    ----------
    folder
        The instance's folder, measured before and after.
    before
        Only runs created before this instant.
    keep
        The newest so many of each job stay whatever their age.

    Notes
    -----
    Dagster deletes a run's row and its events, in the run's own file and in the index. The file
    itself, logs, artifacts and what its asset checks found it leaves: they go here. What a
    materialization without a run says (the chains' anchors) belongs to no run and survives. A run
    that has not ended is never touched.
    """
    from instgov_dagster.adapters.alerts.gauges import store_space

    used = store_space(folder).used_mib
    gone = [run_id for job in PRUNED_JOBS for run_id in _old_runs(instance, job, before, keep)]
    for run_id in gone:
        instance.delete_run(run_id)
        _delete_left_overs(instance, run_id)
    rows = _delete_check_rows(instance, before)
    return Pruned(
        runs=tuple(gone),
        check_rows=rows,
        before_mib=used,
        after_mib=store_space(folder).used_mib,
    )


def _delete_check_rows(instance: dg.DagsterInstance, before: datetime) -> int:
    # Those of runs that are no more, whoever deleted them; the last word on each check stays.
    storage, rows = instance.event_log_storage, AssetCheckExecutionsTable.c
    if not isinstance(storage, SqlEventLogStorage):
        return 0  # a storage that keeps nothing on a disk
    old = rows.create_timestamp < before.replace(tzinfo=None)  # written in UTC, without saying so
    newest = sa.select(sa.func.max(rows.id)).group_by(rows.asset_key, rows.check_name)
    with storage.index_connection() as connection:
        found = connection.execute(sa.select(rows.run_id).where(old, rows.run_id != "").distinct())
        named = [run_id for (run_id,) in found.fetchall()]
        lost = [run_id for run_id in named if not instance.has_run(run_id)]
        return sum(
            connection.execute(
                AssetCheckExecutionsTable.delete().where(
                    old, rows.run_id == run_id, rows.id.not_in(newest)
                )
            ).rowcount
            for run_id in lost
        )


def _old_runs(instance: dg.DagsterInstance, job: str, before: datetime, keep: int) -> list[str]:
    newest = instance.get_run_records(dg.RunsFilter(job_name=job), limit=keep)
    kept = {record.dagster_run.run_id for record in newest}
    old = instance.get_run_records(
        dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES, created_before=before)
    )
    found = [record.dagster_run.run_id for record in old]
    return [run_id for run_id in found if run_id not in kept]


def _delete_left_overs(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    shard = getattr(instance.event_log_storage, "path_for_shard", None)
    if shard is None:
        return  # a storage that keeps all runs in one place deleted them all
    path = Path(shard(run_id))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)
