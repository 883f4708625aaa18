"""Where the lake is: one clear error where it cannot be, and never a secret in it."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from instgov_dagster.adapters.lake import Lake, lake_from, push
from instgov_dagster.loop.platform import open_platform
from instgov_dagster.vocabulary.errors import InputError, LakeUnavailable
from instgov_dagster_tests.adapters.lake.lakes import empty_home, open_lake
from instgov_dagster_tests.adapters.store.stores import NIGHT
from instgov_dagster_tests.loop.homes import settings_of, write_config

SECRET = "canary-7f3a"  # noqa: S105  # what is looked for
CATALOG = f"postgresql://u:{SECRET}@127.0.0.1:9/lake"
S3 = {
    "INSTGOV_LAKE": f"ducklake:{CATALOG}",
    "INSTGOV_LAKE_DATA": "s3://bucket/lake",
    "AWS_ACCESS_KEY_ID": "key-of-the-store",
    "AWS_SECRET_ACCESS_KEY": SECRET,
}


def test_no_variable_is_no_lake() -> None:
    assert lake_from({}) is None
    assert lake_from({"INSTGOV_LAKE": "", "INSTGOV_LAKE_DATA": "x"}) is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"INSTGOV_LAKE_DATA": ""}, "INSTGOV_LAKE_DATA must be an absolute folder"),
        ({"INSTGOV_LAKE_DATA": "lake"}, "was 'lake'"),
        ({"INSTGOV_LAKE": CATALOG}, "INSTGOV_LAKE must be ducklake:postgres:"),
        ({"INSTGOV_LAKE": f"ducklake:sqlite:{SECRET}"}, "INSTGOV_LAKE must be ducklake:postgres:"),
        ({"INSTGOV_LAKE": "ducklake:postgres: "}, "INSTGOV_LAKE must be ducklake:postgres:"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "must have AWS_SECRET_ACCESS_KEY set"),
        ({"INSTGOV_LAKE_S3_ENDPOINT": "127.0.0.1:5000"}, "INSTGOV_LAKE_S3_ENDPOINT must be http"),
    ],
)
def test_a_malformed_address_is_one_error_that_names_the_variable(
    changed: dict[str, str], told: str
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        lake_from({**S3, **changed})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("catalog", [CATALOG, f"postgres:host=127.0.0.1 port=9 password={SECRET}"])
def test_neither_the_address_nor_what_a_lost_catalog_says_tells_a_secret(
    catalog: str, tmp_path: Path
) -> None:
    lake = open_lake({**S3, "INSTGOV_LAKE": f"ducklake:{catalog}"})
    assert SECRET not in repr(lake.address)
    assert "key-of-the-store" not in repr(lake.address)
    for work in (lambda: push(lake, empty_home(tmp_path / "h"), pushed_at=NIGHT), _read(lake)):
        with pytest.raises(LakeUnavailable, match="port 9 failed") as lost:
            work()
        seen: BaseException | None = lost.value
        while seen is not None:  # what a trace would print
            assert SECRET not in str(seen)
            assert CATALOG not in str(seen)
            seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _read(lake: Lake) -> object:
    def work() -> None:
        with lake.reader():
            pytest.fail("there is no lake")

    return work


def test_a_home_that_is_to_have_a_lake_is_not_opened_without_its_extension(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = importlib.util.find_spec

    def without_ducklake(name: str) -> object:
        if name == "duckdb_extension_ducklake":
            # Installed, but made for another duckdb.
            return SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        return found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_ducklake)
    write_config(tmp_path / "config")
    settings = settings_of(tmp_path / "data")
    with pytest.raises(InputError, match=r"DuckDB's extension ducklake .*instgov-dagster\[lake\]"):
        open_platform(settings, {**S3, "INSTGOV_LAKE_DATA": str(tmp_path / "lake")})
    assert not (tmp_path / "data").exists()
