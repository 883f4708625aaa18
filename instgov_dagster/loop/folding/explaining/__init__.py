"""Why something was decided, and what each control has done: the journal read for people."""
