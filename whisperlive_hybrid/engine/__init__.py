"""Utterances to hypotheses: models, batching scheduler and workers. Knows nothing of sessions, HTTP or storage."""

from whisperlive_hybrid.engine.threads import WAIT_POLICY

__all__ = ["WAIT_POLICY"]
