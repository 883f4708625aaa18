"""Where and with what something was measured: processor, memory, versions; no names of machines."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, Final

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
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _memory_gb() -> int | None:
    found = _field("/proc/meminfo", "MemTotal")
    return None if found is None else round(int(found.split()[0]) / 1024**2)


def _field(file: str, name: str) -> str | None:
    path = Path(file)
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        label, _, value = line.partition(":")
        if label.strip() == name:
            return value.strip()
    return None
