"""Which decoder a live stream gets: by the codec's name, or by its first bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from whisperlive_hybrid.audio.decoder import StreamDecoder
from whisperlive_hybrid.audio.ogg import MAGIC as OGG_MAGIC
from whisperlive_hybrid.audio.ogg import OggOpusDecoder
from whisperlive_hybrid.audio.opus_packets import OpusPacketDecoder
from whisperlive_hybrid.audio.pcm import MAX_CHANNELS, PcmDecoder
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.audio.samples import EMPTY, Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, seal, unseal
from whisperlive_hybrid.audio.wav_stream import WAV_MAGIC, WavDecoder
from whisperlive_hybrid.audio.webm import EBML_MAGIC, WebmOpusDecoder
from whisperlive_hybrid.errors import BadInput, UndecodableAudio

Codec: TypeAlias = Literal["opus", "ogg-opus", "webm-opus", "pcm_s16le", "pcm_f32le", "pcm_u8", "pcm_mulaw", "pcm_alaw"]
CODECS: tuple[Codec, ...] = get_args(Codec)


def make_decoder(
    codec: Codec | None, *, sample_rate: int = 16_000, channels: int = 1, snapshot: bytes | None = None
) -> StreamDecoder:
    """A decoder, fresh or going on from the `snapshot` of one made with the same arguments.

    `sample_rate` and `channels` describe PCM; Opus carries its own. `codec` None recognizes Ogg, WebM and WAV by
    their first bytes. Raises BadInput: unknown_codec, bad_sample_rate, bad_channels, bad_snapshot.
    """
    decoder = _fresh(codec, sample_rate, channels)
    if snapshot is not None:
        decoder.restore(snapshot)
    return decoder


def _fresh(codec: Codec | None, sample_rate: int, channels: int) -> StreamDecoder:
    if codec is not None and codec not in CODECS:
        raise BadInput(f"codec {codec!r} is not known", param="codec", accepted=CODECS, code="unknown_codec")
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise BadInput(
            f"a sample rate of {sample_rate} Hz is not accepted",
            param="sample_rate",
            accepted=(f"{MIN_RATE} to {MAX_RATE}",),
            code="bad_sample_rate",
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise BadInput(
            f"{channels} channels are not accepted",
            param="channels",
            accepted=(f"1 to {MAX_CHANNELS}",),
            code="bad_channels",
        )
    match codec:
        case None:
            return SniffingDecoder()
        case "opus":
            return OpusPacketDecoder()
        case "ogg-opus":
            return OggOpusDecoder()
        case "webm-opus":
            return WebmOpusDecoder()
        case "pcm_s16le":
            return PcmDecoder("s16le", sample_rate=sample_rate, channels=channels)
        case "pcm_f32le":
            return PcmDecoder("f32le", sample_rate=sample_rate, channels=channels)
        case "pcm_u8":
            return PcmDecoder("u8", sample_rate=sample_rate, channels=channels)
        case "pcm_mulaw":
            return PcmDecoder("mulaw", sample_rate=sample_rate, channels=channels)
        case "pcm_alaw":
            return PcmDecoder("alaw", sample_rate=sample_rate, channels=channels)


class SniffingState(State, tag="sniffing"):
    """What a SniffingDecoder goes on from: the first bytes, or the state of the decoder that was found."""

    head: bytes
    codec: Literal["ogg-opus", "webm-opus", "wav"] | None
    decoder: bytes


_SNIFFED: dict[bytes, tuple[Literal["ogg-opus", "webm-opus", "wav"], Callable[[], StreamDecoder]]] = {
    OGG_MAGIC: ("ogg-opus", OggOpusDecoder),
    EBML_MAGIC: ("webm-opus", WebmOpusDecoder),
    WAV_MAGIC: ("wav", WavDecoder),
}
"""First four bytes → what the stream is."""


class SniffingDecoder:
    """Waits for the first four bytes, then hands everything to the decoder they belong to."""

    def __init__(self) -> None:
        self._head = b""
        self._codec: Literal["ogg-opus", "webm-opus", "wav"] | None = None
        self._decoder: StreamDecoder | None = None

    def feed(self, data: bytes) -> Samples:
        """See StreamDecoder. Raises UndecodableAudio (codec_required) when the bytes are none of those recognized."""
        if self._decoder is None:
            self._head += data
            self._recognize(complete=False)
            if self._decoder is None:
                return EMPTY
            data, self._head = self._head, b""
        return self._decoder.feed(data)

    def flush(self) -> Samples:
        """See StreamDecoder; a stream without a byte is an empty one."""
        if self._decoder is None and self._head:
            self._recognize(complete=True)
        return self._decoder.flush() if self._decoder else EMPTY

    def snapshot(self) -> bytes:
        """See StreamDecoder."""
        decoder = b"" if self._decoder is None else self._decoder.snapshot()
        return seal(SniffingState(self._head, self._codec, decoder))

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, SniffingState)
        if len(state.head) >= len(OGG_MAGIC):
            raise bad_snapshot()
        self._head, self._codec = state.head, state.codec
        for codec, make in _SNIFFED.values():
            if codec == state.codec:
                self._decoder = make()
                self._decoder.restore(state.decoder)

    def _recognize(self, *, complete: bool) -> None:
        head = self._head[:4]
        if head in _SNIFFED:
            self._codec, make = _SNIFFED[head]
            self._decoder = make()
        elif complete or not any(magic.startswith(head) for magic in _SNIFFED):
            raise UndecodableAudio(
                "the stream is neither Ogg nor WebM nor WAV; name its codec",
                param="codec",
                accepted=CODECS,
                code="codec_required",
            )
