"""Utterances to hypotheses: models, batching scheduler and workers. Knows nothing of sessions, HTTP or storage."""

import os

# CTranslate2's threads (libgomp) wait for each other by spinning, which takes the cores from everybody else: sessions,
# decoders and the event loop. libgomp reads this once, when CTranslate2 is first imported; a user's own value stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
