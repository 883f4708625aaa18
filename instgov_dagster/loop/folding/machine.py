"""What a decision's last bits depend on beside the code: processor and numeric libraries."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_LIBRARIES: Final = ("numpy", "scipy", "highspy", "polars", "pyarrow")


def machine_fingerprint() -> dict[str, Any]:
    """Describe what this process computes with, in words that are equal where the bits must be.

    Returns
    -------
    dict[str, Any]
        ``processor``, ``architecture``, ``system``, ``python`` and ``libraries`` (name to
        version). No name of a machine, no load, no clock.
    """
    return {
        "processor": cpu_field("model name") or platform.machine(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def is_same_machine(told: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> bool:
    """Tell whether bytes must come out equal; a frame that does not name its machine says so."""
    return told is None or dict(told) == dict(ours)


def cpu_field(name: str, file: str = "/proc/cpuinfo") -> str | None:
    """Read one line of what the kernel tells of the processor, None where it does not."""
    path = Path(file)
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        label, _, value = line.partition(":")
        if label.strip() == name:
            return value.strip()
    return None
