"""How much memory a process has held at most."""

import resource
import sys
from pathlib import Path
from typing import Final

_MIB: Final = 1024.0


def peak_rss_mb(pid: int | None = None) -> float:
    """Give the most memory this process ever held, or another that still runs, in MiB.

    Linux's ``ru_maxrss`` survives exec and would tell the parent's peak; ``VmHWM`` does not.
    Another process that has ended, or where there is no ``/proc``, is not measured and gives 0.
    """
    status = Path("/proc") / ("self" if pid is None else str(pid)) / "status"
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / _MIB
    if pid is not None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB / (_MIB if sys.platform == "darwin" else 1.0)
