"""Benchmarks: one command each, every table of docs/performance.md. Nothing here runs in the tests."""
