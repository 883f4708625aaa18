"""The sigma models, one file each: the deviation of the return over the horizon."""
