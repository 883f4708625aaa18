"""Tests of the live market: real client libraries against fakes on the loopback."""
