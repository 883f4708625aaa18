"""Where a reason code last stood: in rows, in bundles and in what frames say beside them."""

from pathlib import Path

import pyarrow as pa

from instgov_dagster.adapters.journal import bundle_tables, read_frames
from instgov_dagster.adapters.journal.firings import last_firings
from instgov_dagster_tests.adapters.journal.chains import CHAIN, START, open_chain, rows

CODES = ("QUOTE_INVALID", "DISK_FULL", "VETO_CVAR", "OPERATOR_HALT", "FENCED")


def decisions(*codes: str, vetoes: tuple[str, ...] = ()) -> pa.Table:
    columns = {"symbol": ["A"], "reason_codes": [list(codes)], "veto_triggers": [list(vetoes)]}
    return pa.table(
        columns,
        schema=pa.schema(
            [
                ("symbol", pa.string()),
                ("reason_codes", pa.large_list(pa.large_string())),
                ("veto_triggers", pa.list_(pa.string())),
            ]
        ),
    )


def test_a_code_is_found_where_it_last_stood_and_the_next_reading_goes_on(tmp_path: Path) -> None:
    with open_chain(tmp_path) as journal:
        bundle = bundle_tables({"a": decisions("QUOTE_INVALID"), "b": rows(1)})
        journal.append("cycle", bundle, {"timestamp": "2025-03-12T14:30:00+00:00"})
        journal.append("cycle", decisions("QUOTE_INVALID", vetoes=("VETO_CVAR",)), {})
        causes = [{"reason_code": "DISK_FULL", "detail": "x"}, {"reason_code": "UNKNOWN"}]
        journal.append("state", rows(0), {"causes": causes, "deep": {"reason_codes": ["FENCED"]}})
    found, at = last_firings(tmp_path, CHAIN, CODES, key=None)
    frames = list(read_frames(tmp_path, CHAIN))
    assert {code: row.frame for code, row in found.items()} == {
        "QUOTE_INVALID": frames[1].name,
        "VETO_CVAR": frames[1].name,
        "DISK_FULL": frames[2].name,
        "FENCED": frames[2].name,
    }
    assert found["DISK_FULL"].at == START.isoformat()
    assert (at.sequence, at.head) == (3, frames[2].head)
    with open_chain(tmp_path) as journal:
        journal.append("cycle", decisions("QUOTE_INVALID"), {"timestamp": "later"})
    again, at = last_firings(tmp_path, CHAIN, CODES, key=None, start=at)
    assert {code: row.at for code, row in again.items()} == {"QUOTE_INVALID": "later"}
    assert at.sequence == 4


def test_a_chain_that_was_never_written_fired_nothing(tmp_path: Path) -> None:
    found, at = last_firings(tmp_path, CHAIN, CODES, key=None)
    assert (found, at.sequence) == ({}, 0)
