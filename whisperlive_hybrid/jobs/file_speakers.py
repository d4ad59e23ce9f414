"""Between a file's pipeline and the diarization room: what it is asked, what is passed on, what comes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.diarization.turns import Diarization
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.jobs.speakers import with_speakers, without_words
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.speech.offline import PackedWindow

if TYPE_CHECKING:
    from whisperlive_hybrid.diarization.diarizer import Diarizer
    from whisperlive_hybrid.diarization.file_diarization import FileDiarization


@dataclass(frozen=True, slots=True)
class Spoken:
    """Segments with speakers as far as they are known, and what was found of who speaks when."""

    segments: tuple[Segment, ...]
    diarization: Diarization


class SpeakersOfFile:
    """The speakers of one file; does nothing where nobody asks for them. `aclose` in any case.

    `told`: where the speech lies that another run has transcribed, in order; it is heard again, by the same pieces.
    """

    def __init__(self, diarizer: Diarizer | None, options: FileOptions, told: Sequence[tuple[int, int]] = ()) -> None:
        self._diarizer = diarizer
        self._options = options
        self._file: FileDiarization | None = None
        self._warning: str | None = None
        self._told = deque(told)
        self._piece: list[Samples] = []
        """What was heard of the first of them."""

    async def open(self) -> None:
        """Begin. Raises BadInput for references of known speakers; what else goes wrong is a warning."""
        if self._options.diarization is None:
            return
        if self._diarizer is None:
            self._warning = "Speakers could not be told apart: this server does not."
            return
        try:
            self._file = await self._diarizer.file(self._options.diarization)
        except BadInput:
            raise
        except HybridError as error:
            self._warning = f"Speakers could not be told apart: {error.message}"

    async def hear_block(self, block: Samples, start: int) -> None:
        """The next block of the file, from sample `start` on."""
        if self._file is None:
            return
        await self._file.hear_audio(block)
        while self._told and self._told[0][0] < start + len(block):
            begin, end = self._told[0]
            self._piece.append(block[max(begin - start, 0) : end - start])
            if end > start + len(block):
                return
            self._told.popleft()
            piece, self._piece = np.concatenate(self._piece), []
            await self._file.hear_speech(begin, piece)

    async def hear_window(self, window: PackedWindow) -> None:
        """Speech whose text is final. Waits while diarization is far behind."""
        if self._file is not None:
            for piece in window.pieces:
                await self._file.hear_speech(piece.start, window.samples[piece.begin : piece.end])

    async def finish(self, segments: Sequence[Segment], on_share: Callable[[float], None]) -> Spoken:
        """The segments with their speakers."""
        if self._options.diarization is None:
            return Spoken(tuple(segments), Diarization())
        if self._file is None:
            found = Diarization(warning=self._warning)
        else:
            on_share(0.0)
            found = await self._file.finish(on_share)
        named = with_speakers(segments, found.turns) if found.turns else tuple(segments)
        return Spoken(named if self._options.decode.word_times else without_words(named), found)

    async def aclose(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            await self._file.close()
