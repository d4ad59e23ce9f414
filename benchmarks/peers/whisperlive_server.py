"""Starts WhisperLive's own server; run by the Python that has it installed, with `run`'s arguments as JSON.

The package on PyPI has no command of its own for this.
"""

import json
import sys

from whisper_live.server import TranscriptionServer  # type: ignore[import-not-found]

if __name__ == "__main__":
    TranscriptionServer().run(**json.loads(sys.argv[1]))
