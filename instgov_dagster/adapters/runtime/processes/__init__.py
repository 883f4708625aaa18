"""Processes beside the caller's: shared out, or asked in order."""
