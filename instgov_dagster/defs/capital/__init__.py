"""The capital wing in Dagster: its assets, and the rules that hold them."""
