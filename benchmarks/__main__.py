"""Run the benchmarks in turn, but those of endurance: `python -m benchmarks --recordings PATH`."""

from __future__ import annotations

import subprocess
import sys

ALL = ("accuracy", "overhead", "batching", "packing", "policy", "windows", "loop_lag", "live")


def main() -> int:
    """Each benchmark in a process of its own, so that none warms or burdens the next."""
    failed = [name for name in ALL if subprocess.call([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]])]
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
