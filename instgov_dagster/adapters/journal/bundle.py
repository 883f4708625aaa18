"""Several tables in one frame: a cycle's frame holds all that the cycle decided."""

from collections.abc import Mapping

import pyarrow as pa


def bundle_tables(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Pack named tables into one table of one row, each as a list of structs.

    Parameters
    ----------
    tables
        At least one table; names become columns.

    Raises
    ------
    ValueError
        If there is no table.
    """
    if not tables:
        raise ValueError("a bundle must hold at least one table, was empty")
    columns = {name: _as_list(table) for name, table in tables.items()}
    return pa.table(columns)


def _as_list(table: pa.Table) -> pa.Array:
    bare = table.replace_schema_metadata(None).combine_chunks()
    rows = bare.to_struct_array()
    if isinstance(rows, pa.ChunkedArray):
        rows = pa.concat_arrays(rows.chunks) if rows.num_chunks else pa.array([], rows.type)
    return pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)


def is_bundle(table: pa.Table) -> bool:
    """Say whether a frame's table is a bundle: one row, nothing but lists of structs."""
    kinds = [field.type for field in table.schema]
    return (
        table.num_rows == 1
        and bool(kinds)
        and all(pa.types.is_list(k) and pa.types.is_struct(k.value_type) for k in kinds)
    )


def frame_rows(table: pa.Table) -> int:
    """Count what a frame's receipt vouches for: its rows, or those of a bundle's first table."""
    if not is_bundle(table):
        return int(table.num_rows)
    return len(table.column(0).combine_chunks().flatten())


def unbundle(table: pa.Table) -> dict[str, pa.Table]:
    """Unpack a bundle into its named tables."""
    return {
        name: pa.Table.from_struct_array(table.column(name).combine_chunks().flatten())
        for name in table.column_names
    }
