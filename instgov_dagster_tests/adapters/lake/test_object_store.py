"""The lake's data in an object store that speaks S3, on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from polars.testing import assert_frame_equal

from instgov_dagster.adapters.lake import differences, pull, push
from instgov_dagster.adapters.runtime import Home, RealClock
from instgov_dagster.adapters.store.warehouse import WarehouseResource
from instgov_dagster.vocabulary.errors import LakeUnavailable
from instgov_dagster_tests.adapters.lake.lakes import add_bars, as_of, empty_home, open_lake
from instgov_dagster_tests.adapters.runtime.leases.servers import free_port
from instgov_dagster_tests.adapters.store.stores import NIGHT, bars

KEY, SECRET = "AKIDEXAMPLE", "canary-of-the-store"  # of a store that checks none


@pytest.fixture
def endpoint() -> Iterator[str]:
    program = Path(sys.executable).parent / "moto_server"
    if not program.exists():
        pytest.skip("no object store: moto is not installed, `make lake` does")
    address = f"http://127.0.0.1:{free_port()}"
    words = [str(program), "-H", "127.0.0.1", "-p", address.rsplit(":", 1)[1]]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(address)
        # The request's header names the region and the service; this server checks no signature.
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20240101/us-east-1/s3/x"}
        requests.put(f"{address}/bucket", headers=signed, timeout=10).raise_for_status()
        yield address
    finally:
        server.kill()
        server.wait()


def _await(address: str) -> None:
    clock = RealClock()
    for _ in range(1500):
        try:
            requests.get(f"{address}/moto-api", timeout=5)
        except requests.ConnectionError:
            clock.sleep_until(clock.now() + timedelta(milliseconds=200))
        else:
            return
    pytest.fail("the object store did not start")


@pytest.mark.nightly
def test_a_home_goes_into_an_object_store_and_comes_back(
    environment: dict[str, str], endpoint: str, tmp_path: Path
) -> None:
    lake = open_lake(
        {
            **environment,
            "INSTGOV_LAKE_DATA": "s3://bucket/lake",
            "INSTGOV_LAKE_S3_ENDPOINT": endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
    )
    home, again = empty_home(tmp_path / "one"), Home(tmp_path / "again")
    add_bars(home, bars("ABC", range(1, 30), payload="first"))
    first = push(lake, home, pushed_at=NIGHT)
    assert first.added["warehouse.bar_versions"] == 29
    listed = requests.get(f"{endpoint}/bucket?list-type=2", timeout=10).text
    assert "lake/warehouse/bar_versions/" in listed
    assert list(tmp_path.rglob("*.parquet")) == []
    add_bars(home, bars("ABC", [*range(1, 29), 0.5], payload="second"), run_id="second")
    push(lake, home, pushed_at=NIGHT)
    pull(lake, again, pulled_at=NIGHT)
    assert [one for one in differences(lake, again) if one.missing or one.extra] == []
    local = WarehouseResource(database=str(home.warehouse))
    with local.reader() as mine, lake.reader() as con:
        assert_frame_equal(as_of(mine, ["ABC"], NIGHT), as_of(con, ["ABC"], NIGHT))
    with lake.reader(at=first.snapshot) as con:
        assert as_of(con, ["ABC"], NIGHT)["close"].to_list() == [float(n) for n in range(1, 30)]


@pytest.mark.nightly
def test_a_store_that_is_gone_is_one_error_without_its_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    lake = open_lake(
        {
            **environment,
            "INSTGOV_LAKE_DATA": "s3://bucket/lake",
            "INSTGOV_LAKE_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
    )
    home = empty_home(tmp_path / "one")
    add_bars(home, bars("ABC", range(1, 60), payload="first"))
    with pytest.raises(LakeUnavailable) as lost:
        push(lake, home, pushed_at=NIGHT)
    assert SECRET not in str(lost.value)
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != SECRET
