"""`instgov bench live`: the governed session at full length, beside the plain way."""
