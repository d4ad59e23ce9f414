"""Uploads: multipart or raw bodies, streamed to disk, whatever order their parts come in.

Nothing a caller says about sizes is believed; bytes are counted as they arrive. Part names, file names and content
types are hints at most: what a file is, its bytes tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from whisperlive_hybrid.audio.wav import HEAD_BYTES, SampleLayout, is_container, wav_header
from whisperlive_hybrid.errors import BadInput, TooLarge, UndecodableAudio
from whisperlive_hybrid.ops.rates import UploadPace
from whisperlive_hybrid.storage.incoming import IncomingFile, StoredFile, incoming_file, too_large
from whisperlive_hybrid.transports.http.door import refusal
from whisperlive_hybrid.transports.http.errors import WireError
from whisperlive_hybrid.transports.http.services import LIMITS, HttpServices

T = TypeVar("T")

READ_BYTES = 1 << 16
MAX_FIELDS = 64
"""Form fields of one request; OpenAI's largest call has about 20."""
MAX_FIELD_BYTES = 64 << 10
"""One field. A Whisper prompt is cut at 224 tokens anyway."""
LARGE_FIELD = "known_speaker_references"
MAX_LARGE_FIELD_BYTES = 3 << 20
"""A known speaker's reference as a data URL: 10 s of 48 kHz stereo weigh 2.6 MB."""
MAX_FIELDS_BYTES = 16 << 20
"""All fields of a form."""
FORM_BYTES = MAX_FIELDS_BYTES
"""What a form may weigh besides its file, for a first look at Content-Length."""
STALL_S = 60.0
"""An upload that does not move for this long is given up."""
PACE_WINDOW_S = 60.0
"""Over so long an upload has to bring what it must."""
MAX_NAME_CHARS = 255
URLENCODED = "application/x-www-form-urlencoded"
FILE_PARTS = ("file", "file[]")


@dataclass(frozen=True, slots=True)
class UploadRules:
    """Where uploads go and how large they may be, in bytes."""

    folder: Path
    max_bytes: int
    raw: bool = False
    """A body that is the file itself (audio/*, video/*, application/octet-stream) is taken too."""
    file_parts: tuple[str, ...] = FILE_PARTS
    """What the part with the file may be called."""
    samples: SampleLayout | None = None
    """What a file is that does not begin as one: samples alone, kept as a WAV file. None: all are kept as they are."""
    floor_bytes: int | None = None
    """How much the disk is to have left; None is the usual."""


def upload_rules(services: HttpServices, *, raw: bool) -> UploadRules:
    """The server's rules for uploads."""
    settings = services.settings
    floor_bytes = round(settings.min_free_disk_mb * 1e6)
    return UploadRules(settings.upload_dir(), round(settings.max_upload_mb * 1e6), raw, floor_bytes=floor_bytes)


@dataclass(frozen=True, slots=True)
class Upload:
    """One request's file and fields. The file is gone when the block it was received in ends."""

    file: StoredFile
    filename: str
    """As the caller named it, without folders; empty if it did not."""
    fields: tuple[tuple[str, str], ...]


@asynccontextmanager
async def receive_upload(request: web.Request, rules: UploadRules) -> AsyncIterator[Upload]:
    """Read the request's body: exactly one file, any number of fields up to the limits, any order.

    Raises BadInput (missing_file, several_files, bad_multipart, …), TooLarge, DiskFull, WireError (408, 415).
    """
    refuse_oversize(request, rules.max_bytes)
    if request.content_type.startswith("multipart/"):
        async with receive_uploads(request, rules, most=1) as (uploads, fields):
            if not uploads:
                raise _missing_file(rules)
            yield replace(uploads[0], fields=fields)
    elif rules.raw and _is_raw(request):
        async with receive_body(request, rules) as upload:
            yield upload
    elif not request.can_read_body and request.content_type in ("application/octet-stream", ""):
        raise _missing_file(rules)
    else:
        accepted = "multipart/form-data" + (", audio/*, video/* or application/octet-stream" if rules.raw else "")
        raise WireError(
            f"A file cannot be sent as {request.content_type}; send {accepted}.",
            status=415,
            code="unsupported_media_type",
            headers={"Accept-Post": accepted.replace(" or ", ", ")},
        )


@asynccontextmanager
async def receive_uploads(
    request: web.Request, rules: UploadRules, *, most: int
) -> AsyncIterator[tuple[list[Upload], tuple[tuple[str, str], ...]]]:
    """Read a multipart body with at most so many files, none or more, and fields; the uploads themselves have none.

    All the files together may have `rules.max_bytes`. Raises as `receive_upload`.
    """
    uploads: list[tuple[IncomingFile, str]] = []
    async with AsyncExitStack() as stack:

        async def begin(filename: str) -> _Receiver:
            if len(uploads) >= most:
                what = "one file" if most == 1 else f"at most {most} files"
                raise BadInput(f"Send {what} per request.", param=rules.file_parts[0], code="several_files")
            left = rules.max_bytes - sum(incoming.size for incoming, _ in uploads)
            file = incoming_file(rules.folder, left, told_limit=rules.max_bytes, floor=rules.floor_bytes)
            incoming = await stack.enter_async_context(file)
            uploads.append((incoming, filename))
            return _Receiver(incoming, rules)

        fields = await _read_multipart(request, begin, rules.file_parts)
        for incoming, _ in uploads:
            await incoming.flush()
        yield [_upload(StoredFile(file.path, file.size), name, []) for file, name in uploads], tuple(fields)


@asynccontextmanager
async def receive_body(request: web.Request, rules: UploadRules) -> AsyncIterator[Upload]:
    """The request's body as the file, whatever type it claims to be. Raises BadInput, TooLarge, DiskFull, WireError."""
    refuse_oversize(request, rules.max_bytes)
    _refuse_encoded(request.headers.get("Content-Encoding"))
    async with incoming_file(rules.folder, rules.max_bytes, floor=rules.floor_bytes) as incoming:
        receiver = _Receiver(incoming, rules)
        async for chunk in _Body(request).chunks():
            if incoming.size == 0 and request.content_type == URLENCODED and chunk.isascii():
                raise _missing_file(rules)  # really a form, then
            await receiver.write(chunk)
        await receiver.finish()
        await incoming.flush()
        yield _upload(StoredFile(incoming.path, incoming.size), "", [])


class _Body:
    """A request's body as it arrives. Only time spent waiting for it counts against its sender."""

    def __init__(self, request: web.Request) -> None:
        self._content = request.content
        self._limits = request.app.get(LIMITS)
        least_per_s = 0.0 if self._limits is None else self._limits.min_upload_speed
        self._pace = UploadPace(least_per_s, PACE_WINDOW_S) if least_per_s else None

    async def step(self, step: Awaitable[T]) -> T:
        """The next of it. Raises WireError (upload_stalled, upload_slow)."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(STALL_S):
                result = await step
        except TimeoutError as e:
            raise WireError(f"The upload did not move for {STALL_S:g} s.", status=408, code="upload_stalled") from e
        if self._must_go(time.monotonic() - began):
            raise WireError(
                f"The upload brought too little over {PACE_WINDOW_S:g} s, and few places are left for others.",
                status=408,
                code="upload_slow",
            )
        return result

    def _must_go(self, waited_s: float) -> bool:
        """It is too slow, at a time when others need its place."""
        if self._limits is None or self._pace is None or self._content.is_eof():
            return False
        return self._pace.is_slow(waited_s, self._content.total_bytes) and self._limits.places.is_short

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it."""
        while chunk := await self.step(self._content.readany()):
            yield chunk


class _Receiver:
    """Takes a file's bytes. Where they are samples alone, a WAV header goes before them."""

    def __init__(self, incoming: IncomingFile, rules: UploadRules) -> None:
        self._incoming = incoming
        self._samples = rules.samples
        self._head = bytearray()
        """What came before it could be told; empty from then on."""

    async def write(self, chunk: bytes) -> None:
        """More of the file."""
        if self._samples is None:
            await self._incoming.write(chunk)
            return
        self._head += chunk
        if len(self._head) >= HEAD_BYTES:
            await self.finish()

    async def finish(self) -> None:
        """The file is complete, or enough of it is there to tell what it is."""
        if self._samples is not None and self._head:
            if not is_container(bytes(self._head[:HEAD_BYTES])):
                await self._incoming.write(wav_header(self._samples))
            await self._incoming.write(self._head)
            self._samples = None


def refuse_oversize(request: web.BaseRequest, max_bytes: int) -> None:
    """Raises TooLarge when the caller itself says that the body is too large."""
    if (request.content_length or 0) > max_bytes + FORM_BYTES:
        raise too_large(max_bytes)


def expect_within(max_bytes: int) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """Handler for `Expect: 100-continue` that refuses a body which is too large before any of it is sent."""

    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Expect", "").lower() != "100-continue":
            error = WireError("Only 100-continue can be expected.", status=417, code="bad_expectation")
            return refusal(request, error)
        try:
            refuse_oversize(request, max_bytes)
        except TooLarge as e:
            return refusal(request, e)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp's own handler does the same: the bytes above are no part of the answer.
        request.writer.output_size = 0
        return None

    return answer


async def read_small_body(request: web.Request) -> bytes:
    """A body without a file, at most MAX_FIELD_BYTES. Raises WireError (413, 408)."""
    _refuse_encoded(request.headers.get("Content-Encoding"))
    body = bytearray()
    async for chunk in _Body(request).chunks():
        body += chunk
        if len(body) > MAX_FIELD_BYTES:
            raise WireError(f"The body may have {MAX_FIELD_BYTES} bytes.", status=413, code="body_too_large")
    return bytes(body)


async def read_fields(request: web.Request) -> list[tuple[str, str]]:
    """The fields of a form without a file, multipart or urlencoded."""
    if request.content_type == URLENCODED:
        try:
            text = (await read_small_body(request)).decode()
            return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, strict_parsing=bool(text))
        except ValueError as e:
            raise BadInput("The form cannot be read.", code="bad_form") from e
    return await _read_multipart(request, None)


async def _read_multipart(
    request: web.Request,
    begin: Callable[[str], Awaitable[_Receiver]] | None,
    file_parts: tuple[str, ...] = FILE_PARTS,
) -> list[tuple[str, str]]:
    """The fields; each file goes to what `begin` gives for its name. None takes no file."""
    fields: list[tuple[str, str]] = []
    weight = 0
    reader, coming = _multipart(request), _Body(request)
    try:
        while (part := await coming.step(reader.next())) is not None:
            if not isinstance(part, BodyPartReader):
                raise BadInput("A form must not contain another multipart body.", code="bad_multipart")
            name = _checked_name(part)
            if name not in file_parts and part.filename is None:
                if len(fields) >= MAX_FIELDS:
                    raise BadInput(f"A form may have {MAX_FIELDS} fields.", code="too_many_fields")
                fields.append((name, await _field(coming, part, name, MAX_FIELDS_BYTES - weight)))
                weight += len(fields[-1][1])
                continue
            if begin is None:
                raise BadInput("No file is expected here.", param=name[:64], code="unexpected_file")
            if name not in file_parts:
                raise BadInput(
                    f"Send the audio as a part named {file_parts[0]}, not {name[:64]!r}.",
                    param=name[:64],
                    accepted=(file_parts[0],),
                    code="unknown_file_part",
                )
            receiver = await begin(_clean_name(part.filename))
            while chunk := await coming.step(part.read_chunk(READ_BYTES)):
                await receiver.write(chunk)
            await receiver.finish()
    except (ValueError, AssertionError, LookupError, RuntimeError, HttpProcessingError) as e:
        # What aiohttp's reader raises for a body that is not the multipart it claims to be.
        raise BadInput(f"The multipart body is broken: {_one_line(e)}.", code="bad_multipart") from e
    return fields


def _multipart(request: web.Request) -> MultipartReader:
    _refuse_encoded(request.headers.get("Content-Encoding"))
    try:
        return MultipartReader(request.headers, request.content, max_headers=16)
    except (ValueError, AssertionError) as e:
        raise BadInput(f"The multipart body is broken: {_one_line(e)}.", code="bad_multipart") from e


def _checked_name(part: BodyPartReader) -> str:
    # An encoded part weighs more when it is decoded than when it was counted. Nobody needs one.
    _refuse_encoded(part.headers.get("Content-Encoding"))
    transfer = part.headers.get("Content-Transfer-Encoding", "binary").lower()
    if transfer not in ("binary", "8bit", "7bit"):
        raise BadInput(
            f"Parts are sent as they are, not in {transfer[:32]!r}.",
            accepted=("binary",),
            code="encoded_part",
        )
    return part.name or ""


def _refuse_encoded(encoding: str | None) -> None:
    if encoding is not None and encoding.lower() != "identity":
        raise BadInput(f"Bodies are sent as they are, not in {encoding[:32]!r}.", code="encoded_part")


async def _field(coming: _Body, part: BodyPartReader, name: str, room: int) -> str:
    most = min(room, MAX_LARGE_FIELD_BYTES if name.startswith(LARGE_FIELD) else MAX_FIELD_BYTES)
    value = bytearray()
    while chunk := await coming.step(part.read_chunk(READ_BYTES)):
        value += chunk
        if len(value) > most:
            raise BadInput(f"A field may have {most} bytes.", param=name[:64], code="too_long")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as e:
        what = name[:64] or "A part without a name"
        raise BadInput(f"{what} is not UTF-8 text.", param=name[:64] or None, code="not_text") from e


def _upload(file: StoredFile, filename: str, fields: list[tuple[str, str]]) -> Upload:
    if file.size == 0:
        raise UndecodableAudio("The file is empty.", param="file", code="empty_file")
    return Upload(file, filename, tuple(fields))


def _is_raw(request: web.Request) -> bool:
    kind = request.content_type
    # curl --data-binary calls whatever it sends a form.
    return request.can_read_body and (
        kind.startswith(("audio/", "video/")) or kind in ("application/octet-stream", "application/ogg", URLENCODED)
    )


def _missing_file(rules: UploadRules) -> BadInput:
    name = rules.file_parts[0]
    return BadInput(
        f"Send the audio as a multipart part named {name}.", param=name, accepted=(name,), code="missing_file"
    )


def _clean_name(name: str | None) -> str:
    """The last part of a path of any system, without control characters."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:MAX_NAME_CHARS]


def _one_line(error: Exception) -> str:
    text = error.message if isinstance(error, HttpProcessingError) else str(error)
    return (" ".join(text.split()) or type(error).__name__)[:200].rstrip(".")
