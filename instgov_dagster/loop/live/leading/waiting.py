"""The wait of a warm standby: it polls the kernel's lease, and nothing else."""

from collections.abc import Callable
from datetime import datetime, timedelta

from instgov_dagster.adapters.runtime import LOCK_POLL_SECONDS, Clock, Lease
from instgov_dagster.adapters.runtime.stopping import StopRequest
from instgov_dagster.vocabulary.errors import LeaseHeld


def wait_to_lead(
    lease: Lease,
    *,
    clock: Clock,
    stop: StopRequest,
    obstacle: Callable[[], str | None],
    catch_up: Callable[[], None],
    catch_up_seconds: float,
    until: datetime | None,
) -> None:
    """Return as soon as the lease is this session's.

    Parameters
    ----------
    obstacle
        Says why the session may not wait on; asked at every look.
    catch_up
        Reads what the leader wrote meanwhile, every ``catch_up_seconds``: little is left to read
        once the lease comes.
    until
        When to give up; None waits as long as there is no obstacle.

    Raises
    ------
    LeaseHeld
        If the session was asked to end, met an obstacle or waited too long: it never led.
    """
    due = clock.now()
    while True:
        why = f"asked by {stop.signal_name}" if stop.is_asked else obstacle()
        if why is not None:
            raise LeaseHeld(f"this session never led: {why}")
        if lease.try_acquire():
            return
        now = clock.now()
        if until is not None and now >= until:
            raise LeaseHeld(f"this session never led: {lease.path} is held by {lease.holder()}")
        if now >= due:
            catch_up()
            due = clock.now() + timedelta(seconds=catch_up_seconds)
        clock.sleep_until(clock.now() + timedelta(seconds=LOCK_POLL_SECONDS))
