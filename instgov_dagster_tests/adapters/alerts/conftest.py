"""Loopback servers for the tests of the channels."""

from collections.abc import Iterator

import pytest

from instgov_dagster_tests.adapters.alerts.servers import Hook, Mailbox, hook_server, smtp_server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server that takes everything until it is told otherwise."""
    with smtp_server() as box:
        yield box


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that takes everything until it is told otherwise."""
    with hook_server() as taken:
        yield taken
