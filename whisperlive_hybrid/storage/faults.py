"""What can go wrong with what is stored."""

from __future__ import annotations

from whisperlive_hybrid.errors import Unavailable


class StoreFailed(Unavailable):
    """What is stored cannot be read or written now."""

    code = "storage_failed"


class BlobMissing(StoreFailed):
    """The bytes of something that is recorded are not there."""

    code = "audio_lost"


class BlobDamaged(StoreFailed):
    """The bytes of something that is recorded are not those that were stored."""

    code = "audio_damaged"
