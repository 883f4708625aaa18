"""The readers' side of a session: what is published is brought up to the journal beside it."""

from contextlib import AbstractContextManager, nullcontext

from instgov_dagster.adapters.store.projector import project
from instgov_dagster.adapters.store.projector.follower import Follower
from instgov_dagster.loop.live.leading.register import Role, members
from instgov_dagster.loop.platform import Platform


def projecting(platform: Platform, period_seconds: float) -> AbstractContextManager[object]:
    """Project every few seconds beside a paced session.

    Back to back there is nobody to read along: such a session projects once, at its end.
    """
    if not period_seconds:
        return nullcontext()
    loop = platform.policy.loop
    return Follower(
        platform.home,
        every_seconds=loop.project_every_seconds,
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )


def project_to_end(platform: Platform) -> None:
    """Bring what is published up to the journal's end, unless a new leader's projector does."""
    if any(one.role is Role.LEADER for one in members(platform.home)):
        return
    loop = platform.policy.loop
    project(
        platform.home,
        recorded_at=platform.now(),
        key=platform.key,
        published_cycles=loop.published_cycles,
        keep=loop.published_snapshots,
    )
