"""The warehouse, the projection, the published snapshots and the raw archive."""

import warnings

# duckdb 2 asks for `con.sql(query, params=…)`, which is many times slower on duckdb 1.5.5.
warnings.filterwarnings(
    "ignore", "Arrow output on a DB-API result", UserWarning, module=r"instgov_dagster\."
)
