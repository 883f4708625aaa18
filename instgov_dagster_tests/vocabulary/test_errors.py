"""Errors carry their code and survive the trip between processes."""

import copy
import pickle

import pytest

from instgov_dagster.vocabulary.errors import (
    DataRejected,
    InputError,
    InstgovError,
    LeaseHeld,
    ResumeRefused,
    SystemHalt,
    WarehouseBusy,
)
from instgov_dagster.vocabulary.reasons import ReasonCode

CODED = (SystemHalt, DataRejected)


@pytest.mark.roadmap("0.6")
@pytest.mark.parametrize("kind", CODED)
def test_an_error_with_a_code_says_the_code_and_what_was_found(
    kind: type[SystemHalt | DataRejected],
) -> None:
    error = kind(ReasonCode.AUDIT_WRITE_FAILED, "disk gone")
    assert error.reason_code is ReasonCode.AUDIT_WRITE_FAILED
    assert str(error) == "AUDIT_WRITE_FAILED: disk gone"


@pytest.mark.parametrize("kind", CODED)
def test_an_error_with_a_code_survives_pickle_and_copy(
    kind: type[SystemHalt | DataRejected],
) -> None:
    error = kind(ReasonCode.CHAIN_BROKEN, "frame 7")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # our own bytes
        assert type(twin) is kind
        assert (twin.reason_code, twin.detail, str(twin)) == (
            error.reason_code,
            error.detail,
            str(error),
        )


def test_a_refused_resume_names_every_cause_and_survives_pickle() -> None:
    error = ResumeRefused([(ReasonCode.CHAIN_BROKEN, "a"), (ReasonCode.DISK_FULL, "b")])
    assert str(error) == "still standing: CHAIN_BROKEN: a; DISK_FULL: b"
    assert pickle.loads(pickle.dumps(error)).causes == error.causes  # noqa: S301  # our own bytes


def test_every_error_is_ours_and_only_bad_input_is_a_value_error() -> None:
    kinds = {SystemHalt, DataRejected, InputError, LeaseHeld, ResumeRefused, WarehouseBusy}
    assert set(InstgovError.__subclasses__()) >= kinds
    assert {kind for kind in kinds if issubclass(kind, ValueError)} == {InputError}
