"""Where and with what something was measured: processor, memory, versions; no names of machines."""

import importlib.metadata
import os
import platform
from typing import Any, Final

from instgov_dagster.loop.folding.machine import cpu_field

_LIBRARIES: Final = ("numpy", "scipy", "highspy", "cvxpy", "clarabel", "polars")


def describe_machine() -> dict[str, Any]:
    """Describe the machine and the libraries beneath the engines.

    Returns
    -------
    dict[str, Any]
        ``processor``, ``cores``, ``memory_gb``, ``system``, ``python`` and ``libraries`` (name to
        version); None where the system does not tell.
    """
    return {
        "processor": cpu_field("model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _memory_gb() -> int | None:
    found = cpu_field("MemTotal", "/proc/meminfo")
    return None if found is None else round(int(found.split()[0]) / 1024**2)
