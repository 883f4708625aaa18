"""The errors of the system; what each one stops. No handling lives here."""

from collections.abc import Sequence

from instgov_dagster.vocabulary.reasons import ReasonCode


class InstgovError(Exception):
    """Root of every error this package raises on purpose."""


class SystemHalt(InstgovError):  # noqa: N818  # the roadmap's own word (0.6)
    """Stop everything: nothing may be sent after this (STOP_SYSTEM).

    Parameters
    ----------
    reason_code
        The one code that names the cause.
    detail
        What was found, with the offending value.
    """

    def __init__(self, reason_code: ReasonCode, detail: str) -> None:
        # The arguments stay in ``args`` as they came: an error must survive being pickled.
        super().__init__(reason_code, detail)
        self.reason_code = reason_code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason_code}: {self.detail}"


class DataRejected(InstgovError):  # noqa: N818  # a verdict, named like SystemHalt
    """Refuse this piece of data; never retried.

    Parameters
    ----------
    reason_code
        The one code that names the cause.
    detail
        What was found, with the offending value.
    """

    def __init__(self, reason_code: ReasonCode, detail: str) -> None:
        # The arguments stay in ``args`` as they came: an error must survive being pickled.
        super().__init__(reason_code, detail)
        self.reason_code = reason_code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason_code}: {self.detail}"


class InputError(InstgovError, ValueError):
    """Bad input from a person: the text names the field, the value and the bound (exit 2)."""


class ResumeRefused(InstgovError):  # noqa: N818  # a verdict, named like SystemHalt
    """Refuse to resume while a cause stands (exit 3).

    Parameters
    ----------
    causes
        Pairs of reason code and detail, every one that stands.
    """

    def __init__(self, causes: Sequence[tuple[ReasonCode, str]]) -> None:
        super().__init__(causes)
        self.causes = tuple(causes)

    def __str__(self) -> str:
        return "still standing: " + "; ".join(f"{code}: {detail}" for code, detail in self.causes)


class LeaseHeld(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """Another process holds the lock this one needs (exit 3)."""


class Fenced(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """The session lost what hosts it and ended with nothing sent; another goes on from there."""


class WarehouseBusy(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """The warehouse stayed locked by another process past the wait; nothing latches."""


class LakeUnavailable(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """The lake's catalog or data cannot be reached; what was to be pushed is pushed later."""


class ProcessLost(InstgovError):  # noqa: N818  # a state of the world, not a mistake
    """A process beside this one ended before it had answered (exit 3); it can be asked again."""
