"""Bounds of what may be asked for. Imports nothing: the command line waits for it."""

MAX_PRIORITY = 100
"""Of a run; the lowest priority is as far below 0."""
MAX_EPOCH = 100_000
"""Of a run: as many as a spec may ask for."""
