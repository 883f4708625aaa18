"""The governance wing in the graph: the night, the live session and the proof of both."""
