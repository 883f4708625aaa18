"""How a session comes to lead and goes on leading: ready, waiting, in time, fenced, told of."""
