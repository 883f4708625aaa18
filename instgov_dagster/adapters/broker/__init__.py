"""The brokers: whoever executes, the record is kept before anything is told."""

from instgov_dagster.adapters.broker.paper import PaperBroker

__all__ = ["PaperBroker"]
