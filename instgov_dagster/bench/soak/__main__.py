"""``python -m instgov_dagster.bench.soak --minutes 5 --out DIR``."""

import argparse
import secrets
import sys
from datetime import date
from pathlib import Path

from instgov_dagster.bench.soak.incidents import HARM, WHOLE
from instgov_dagster.bench.soak.page import table_of
from instgov_dagster.bench.soak.run import soak


def main() -> int:
    """Soak, print the table, and end with 1 where something was not shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--session-cycles", type=int, default=60)
    parser.add_argument("--asof", type=date.fromisoformat, default=date(2025, 3, 12))
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--harm", default=",".join(WHOLE), help=f"of {', '.join(HARM)}")
    words = parser.parse_args()
    facts = soak(
        words.out,
        minutes=words.minutes,
        session_cycles=words.session_cycles,
        asof=words.asof,
        harm=words.harm.split(","),
        token=secrets.token_hex(8),
    )
    sys.stdout.write(table_of(facts))
    return 0 if facts["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
