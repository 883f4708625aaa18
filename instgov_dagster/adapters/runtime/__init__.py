"""Clock, home layout, locks, files, free space and the hash of the code; no stores live here."""

from instgov_dagster.adapters.runtime.clock import Clock, RealClock, VirtualClock
from instgov_dagster.adapters.runtime.code import code_sha256
from instgov_dagster.adapters.runtime.files import (
    fsync_directory,
    replace_durably,
    require_free_space,
)
from instgov_dagster.adapters.runtime.home import Home
from instgov_dagster.adapters.runtime.leases.lease import HostLease, Lease
from instgov_dagster.adapters.runtime.locks import LOCK_POLL_SECONDS, FileLock, lent_locks

__all__ = [
    "LOCK_POLL_SECONDS",
    "Clock",
    "FileLock",
    "Home",
    "HostLease",
    "Lease",
    "RealClock",
    "VirtualClock",
    "code_sha256",
    "fsync_directory",
    "lent_locks",
    "replace_durably",
    "require_free_space",
]
