"""Everything that can go wrong, and whose fault it is.

    HybridError
    ├── BadInput                the request itself is wrong; sending it again will not help
    │   ├── UndecodableAudio    the bytes are not audio we can read
    │   └── TooLarge            over a stated limit
    ├── NotFound                no such model, session, file
    ├── Conflict                the thing is in a state that forbids this
    ├── Unauthorized            no key, or a wrong one
    ├── Refused                 right request, wrong moment: full, or shutting down (`retry_after_s`)
    │   └── OverLimit           one client has all that it may have (`limit`, `used`)
    ├── Superseded              a newer request of the same owner took this one's place
    └── Unavailable             our side cannot do it now
        ├── ModelUnavailable    a model that cannot be had (`ways_out`)
        ├── DiskFull            no room to keep it
        ├── WorkerLost          the worker died; retried once before anyone sees this
        └── DeadlineExceeded    not done in time

A room raises its type; each front door asks `code`, `message` and the attributes for its own envelope and status.
Nobody parses a message.
"""

from __future__ import annotations

from collections.abc import Sequence


def _sendable(text: str) -> str:
    """Text that every door can encode: a message may quote header bytes, which are lone surrogates if not UTF-8."""
    return text.encode("utf-8", "replace").decode()


class HybridError(Exception):
    """Root of all errors this package raises on purpose.

    `code` is a stable machine-readable word, `message` one sentence for a person.
    """

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = _sendable(message)
        if code is not None:
            self.code = code


class BadInput(HybridError):
    """The request is wrong. `param` names the field, `accepted` what it may be."""

    code = "bad_input"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        accepted: Sequence[str] = (),
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.param = None if param is None else _sendable(param)
        self.accepted = tuple(accepted)


class UndecodableAudio(BadInput):
    """The bytes cannot be decoded as audio; `code` says why (not_audio, empty_audio, no_audio_stream, …)."""

    code = "undecodable_audio"


class TooLarge(BadInput):
    """Over a limit. `limit` is in the unit the message names."""

    code = "too_large"

    def __init__(self, message: str, *, limit: float, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, param=param, code=code)
        self.limit = limit


class NotFound(HybridError):
    """Nothing of this `kind` has this `id`."""

    code = "not_found"

    def __init__(self, message: str, *, kind: str, id: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.kind = kind
        self.id = id


class Conflict(HybridError):
    """The thing is in a state that forbids the request."""

    code = "conflict"


class Unauthorized(HybridError):
    """No API key, or one that is not known; or a page, or a name of this server, that is not ours."""

    code = "unauthorized"

    @property
    def is_foreign(self) -> bool:
        """Where the request comes from is what is wrong: no key would help."""
        return self.code in ("origin_refused", "host_refused")


class Refused(HybridError):
    """The server is full or going away; try again after `retry_after_s` seconds."""

    code = "full"

    def __init__(self, message: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class OverLimit(Refused):
    """A client has as much as it may have: `used` of `limit`, in the unit the message names."""

    code = "over_limit"

    def __init__(
        self, message: str, *, code: str, limit: float, used: float, retry_after_s: float, is_quota: bool = False
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s, code=code)
        self.limit = limit
        self.used = used
        self.is_quota = is_quota
        """It is used up for long: trying again in a moment will not help."""


class Superseded(HybridError):
    """A newer window of the same owner replaced this one, or its owner cancelled it."""

    code = "superseded"


class Unavailable(HybridError):
    """Our side cannot do this now."""

    code = "unavailable"


class ModelUnavailable(Unavailable):
    """The model cannot be had here; `ways_out` are the things a user can do about it."""

    code = "model_unavailable"

    def __init__(self, message: str, *, model: str, ways_out: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.model = model
        self.ways_out = tuple(ways_out)


class WorkerLost(Unavailable):
    """The worker that ran the window died."""

    code = "worker_lost"


class DeadlineExceeded(Unavailable):
    """Not finished in the time allowed."""

    code = "deadline_exceeded"


class DiskFull(Unavailable):
    """No room to keep what was sent."""

    code = "disk_full"
