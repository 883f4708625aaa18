"""The mu models, one file each: the mean of the return over the horizon."""
