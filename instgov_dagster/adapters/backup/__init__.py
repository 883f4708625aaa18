"""A home copied while it is at work, and put back whole or not at all."""

from instgov_dagster.adapters.backup.manifest import BackedUp, Manifest, read_manifest
from instgov_dagster.adapters.backup.restore import Restored, restore_backup
from instgov_dagster.adapters.backup.take import take_backup

__all__ = [
    "BackedUp",
    "Manifest",
    "Restored",
    "read_manifest",
    "restore_backup",
    "take_backup",
]
