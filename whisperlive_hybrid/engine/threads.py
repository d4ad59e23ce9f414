"""How CTranslate2's threads (libgomp) wait for each other.

By default they spin, which takes the cores from sessions, decoders and the event loop. libgomp reads this once, when
CTranslate2 is first imported, so the package imports this module before all others. A user's own value stays.
"""

from __future__ import annotations

import os

WAIT_POLICY = os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""PASSIVE: they sleep."""
