"""One live session as a state machine without I/O, and the runner that drives it."""
