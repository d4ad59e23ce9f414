"""Utterances to hypotheses: models, batching scheduler and workers. Knows nothing of sessions, HTTP or storage."""
