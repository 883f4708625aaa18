"""Leases: one leader at a time, on one host by a locked file, among many through Postgres."""
