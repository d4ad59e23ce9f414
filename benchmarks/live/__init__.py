"""Live sessions side by side with other servers: `python -m benchmarks.live`."""
