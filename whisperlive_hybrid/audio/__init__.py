"""Bytes to samples: decoders for files and live streams. Knows nothing of sessions, models or HTTP."""
