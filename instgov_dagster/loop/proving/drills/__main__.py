"""The process drills run in: rules, an empty folder and names in, one line of evidence out."""

import json
import os
import sys
from pathlib import Path

from instgov_dagster.loop.proving.drills.evidence import evidence_to_dict
from instgov_dagster.loop.proving.drills.run import run_drills


def main(config_dir: str, scratch: str, base: str, *names: str) -> None:
    """Run the drills and write their evidence as one JSON line; nothing else reaches stdout."""
    told = os.dup(1)
    os.dup2(2, 1)
    rows = run_drills(names, Path(config_dir), Path(scratch), base=Path(base) if base else None)
    os.write(told, (json.dumps([evidence_to_dict(row) for row in rows]) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
