"""What every test shares: a clean environment, hypothesis profiles, the folder of real bars."""

import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before a test loads numpy: see the package

import pytest
from hypothesis import HealthCheck, settings

BARS_VARIABLE = "INSTGOV_BARS_DIR"
PROVIDER_VARIABLES = (
    "ALPACA_API_KEY_ID",
    "ALPACA_API_SECRET_KEY",
    "DAGSTER_HOME",
    "FRED_API_KEY",
    "POLYGON_API_KEY",
    "POLYGON_MAX_HISTORY_DAYS",
)

# No deadline, no "too slow": a busy machine is not a failure. `ci` draws the same every run.
_PATIENT = settings(deadline=None, suppress_health_check=(HealthCheck.too_slow,), print_blob=True)
settings.register_profile("ci", _PATIENT, derandomize=True, max_examples=50)
settings.register_profile("explore", _PATIENT, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """Take the operator's own settings out of the environment before anything reads them."""
    for name in [*os.environ]:
        if (name.startswith("INSTGOV_") and name != BARS_VARIABLE) or name in PROVIDER_VARIABLES:
            del os.environ[name]
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="session")
def bars_dir() -> Path:
    """Point at the folder of real bars, or skip: they carry no licence for this repository."""
    folder = os.environ.get(BARS_VARIABLE)
    if not folder:
        pytest.skip(f"{BARS_VARIABLE} is unset: no folder of real bars to test on")
    if not (Path(folder) / "dev" / "bars.parquet").is_file():
        pytest.fail(f"{BARS_VARIABLE} must hold dev/bars.parquet, was {folder!r}")
    return Path(folder)
