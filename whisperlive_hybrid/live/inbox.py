"""What a client has sent and the session has not worked off: bounded in seconds of audio, whatever the codec. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

from whisperlive_hybrid.live.commands import Audio, LiveOptions, Work
from whisperlive_hybrid.live.events import GoAway

Command: TypeAlias = Work | GoAway

INBOX_S: Final = 10.0
"""More audio than this is not read from the connection. The largest message may come on top."""
INBOX_BYTES: Final = 2 * 2**20
"""The same in bytes: the bound of memory."""
SAMPLE_BYTES: Final = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_u8": 1, "pcm_mulaw": 1, "pcm_alaw": 1}
"""Of codecs whose bytes are samples."""
_ASSUMED_OPUS: Final = 16_000 / 8
"""Bytes a second, until some audio was decoded: speech from a browser has about twice as many."""
_ASSUMED_FOR: Final = 4096
"""Bytes after which the stream's own rate counts; it holds a container's header by then, and some audio."""


class Inbox:
    """Commands in order."""

    def __init__(self, options: LiveOptions) -> None:
        self._commands: deque[Command] = deque()
        self._n_bytes = 0
        self.change(options)

    def change(self, options: LiveOptions) -> None:
        """Audio comes in another form from now on."""
        size = SAMPLE_BYTES.get(options.codec or "")
        self._fixed_rate = None if size is None else float(size * options.channels * options.sample_rate)
        self._decoded_bytes = 0
        self._decoded_s = 0.0

    def __len__(self) -> int:
        return len(self._commands)

    def put(self, command: Command) -> None:
        """Add a command."""
        self._commands.append(command)
        if isinstance(command, Audio):
            self._n_bytes += len(command.data)

    def get(self) -> Command:
        """The oldest command, which leaves. Raises IndexError when there is none."""
        command = self._commands.popleft()
        if isinstance(command, Audio):
            self._n_bytes -= len(command.data)
        return command

    def decoded(self, n_bytes: int, audio_s: float) -> None:
        """So many bytes held so many seconds."""
        self._decoded_bytes += n_bytes
        self._decoded_s += audio_s

    @property
    def audio_s(self) -> float:
        """Seconds of audio that wait, as far as can be told without decoding them."""
        if self._fixed_rate is not None:
            return self._n_bytes / self._fixed_rate
        if self._decoded_bytes < _ASSUMED_FOR or self._decoded_s <= 0:
            return self._n_bytes / _ASSUMED_OPUS
        return self._n_bytes * self._decoded_s / self._decoded_bytes

    @property
    def full(self) -> bool:
        """No more should be put in."""
        return self.audio_s >= INBOX_S or self._n_bytes >= INBOX_BYTES
