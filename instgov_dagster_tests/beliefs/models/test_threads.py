"""What is fitted does not depend on how many processors a machine has."""

import os
import subprocess
import sys

FIT = """
from instgov_dagster.beliefs.models.garch_search import search_gjr
import numpy as np
returns = 0.9 * np.random.default_rng(0).standard_t(5, 1254)
print(search_gjr(returns).params.tobytes().hex())
"""
BEFORE = """
import sys
import dagster._cli.api, dagster._daemon, dagster._grpc.server, dagster_duckdb
print(sorted({"numpy", "scipy"} & set(sys.modules)))
"""


def run(program: str, **environment: str) -> str:
    told = {name: held for name, held in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=told | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_a_fit_has_the_bits_of_one_thread_where_nobody_says_how_many() -> None:
    assert run(FIT) == run(FIT, OPENBLAS_NUM_THREADS="1")


def test_the_processes_of_dagster_have_not_loaded_numpy_before_the_package_says_so() -> None:
    assert run(BEFORE).strip() == "[]"
