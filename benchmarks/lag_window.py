"""The server, with `loop_lag_ms` in /health over so many seconds instead of a minute: one phase of a benchmark.

python -m benchmarks.lag_window SECONDS
"""

from __future__ import annotations

import sys
from functools import partial

from whisperlive_hybrid import server
from whisperlive_hybrid.cli import main
from whisperlive_hybrid.ops.loop_lag import LoopLag


def command(window_s: float) -> tuple[str, ...]:
    """To start it with."""
    return (sys.executable, "-m", "benchmarks.lag_window", str(window_s))


if __name__ == "__main__":
    server.LoopLag = partial(LoopLag, window_s=float(sys.argv[1]))  # type: ignore[misc,assignment]
    sys.exit(main(["serve"]))
