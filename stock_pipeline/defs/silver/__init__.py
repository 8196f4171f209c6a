"""One truth per bar, by event time."""
