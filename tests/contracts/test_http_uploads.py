"""Uploads over a real socket: every way a body can be written, and what is left on disk afterwards (nothing)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession, FormData, web

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.storage import incoming as disk
from whisperlive_hybrid.transports.http import uploads
from whisperlive_hybrid.transports.http.errors import native_refusal
from whisperlive_hybrid.transports.http.uploads import UploadRules, expect_within, receive_upload

LIMIT = 3_000_000


@dataclass
class Receiver:
    """An application that only receives, and says what it got."""

    url: str
    port: int
    folder: Path
    client: ClientSession

    def left_behind(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.exists() else []

    async def raw(self, request: bytes) -> tuple[int, dict]:
        """Send bytes as they are, and read the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        return int(head.split()[1]), json.loads(body)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    rules = UploadRules(tmp_path / "uploads", LIMIT, raw=True)

    async def receive(request: web.Request) -> web.Response:
        try:
            async with receive_upload(request, rules) as upload:
                on_disk = upload.file.path.read_bytes()
                return web.json_response(
                    {
                        "size": len(on_disk),
                        "sum": sum(on_disk),
                        "name": upload.filename,
                        "fields": dict(upload.fields),
                        "mode": oct(upload.file.path.stat().st_mode & 0o777),
                    }
                )
        except HybridError as e:
            return native_refusal(e)

    app = web.Application()
    app.router.add_post("/", receive, expect_handler=expect_within(LIMIT))
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession() as client:
        yield Receiver(f"http://127.0.0.1:{port}/", port, rules.folder, client)
    await runner.cleanup()
    assert not rules.folder.exists() or list(rules.folder.iterdir()) == []


def part(headers: str, body: bytes = b"abc") -> bytes:
    return b"--b\r\n" + headers.encode() + b"\r\n\r\n" + body + b"\r\n"


def post(body: bytes, content_type: str = "multipart/form-data; boundary=b") -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


FILE = 'Content-Disposition: form-data; name="file"; filename="a.wav"'


@pytest.mark.parametrize("file_first", [True, False])
async def test_parts_in_any_order(receiver: Receiver, file_first: bool) -> None:
    content = os.urandom(1_500_000)
    form = FormData()
    if file_first:
        form.add_field("file", BytesIO(content), filename="talk.wav", content_type="audio/wav")
    form.add_field("language", "en")
    if not file_first:
        form.add_field("file", BytesIO(content), filename="talk.wav", content_type="audio/wav")

    async with receiver.client.post(receiver.url, data=form) as answer:
        got = await answer.json()

    assert got == {
        "size": len(content),
        "sum": sum(content),
        "name": "talk.wav",
        "fields": {"language": "en"},
        "mode": "0o600",
    }


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (FILE, "a.wav"),
        ('Content-Disposition: form-data; name="file"', ""),
        ('Content-Disposition: form-data; name="file[]"; filename="a.wav"\r\nContent-Type: nonsense', "a.wav"),
        ('Content-Disposition: form-data; name="file"; filename="../../etc/pass\\twd"', None),
        ('Content-Disposition: form-data; name="file"; filename="C:\\\\x\\\\b.mp3"', None),
    ],
)
async def test_names_and_types_are_hints_at_most(receiver: Receiver, headers: str, name: str | None) -> None:
    status, got = await receiver.raw(post(part(headers) + b"--b--\r\n"))

    assert status == 200
    assert got["size"] == 3
    assert "/" not in got["name"] and "\\" not in got["name"] and got["name"].isprintable()
    if name is not None:
        assert got["name"] == name


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"--b--\r\n", "missing_file"),
        (part('Content-Disposition: form-data; name="language"') + b"--b--\r\n", "missing_file"),
        (part(FILE) + part(FILE) + b"--b--\r\n", "several_files"),
        (part(FILE, b"") + b"--b--\r\n", "empty_file"),
        (part(FILE.replace('"file"', '"audio"')) + b"--b--\r\n", "unknown_file_part"),
        (part(FILE + "\r\nContent-Transfer-Encoding: base64") + b"--b--\r\n", "encoded_part"),
        (part(FILE + "\r\nContent-Encoding: gzip") + b"--b--\r\n", "encoded_part"),
        (part(FILE + "\r\nContent-Type: multipart/mixed; boundary=c") + b"--b--\r\n", "bad_multipart"),
        (part(FILE)[:-2], "bad_multipart"),
        (b"no boundary at all\r\n", "bad_multipart"),
        (part('Content-Disposition: form-data; name="p"', b"x" * 70_000) + b"--b--\r\n", "too_long"),
        (part('Content-Disposition: form-data; name="p"', b"\xff\xfe") + b"--b--\r\n", "not_text"),
        (part('Content-Disposition: form-data; name="p"') * 65 + b"--b--\r\n", "too_many_fields"),
    ],
)
async def test_bodies_that_are_wrong(receiver: Receiver, body: bytes, code: str) -> None:
    status, got = await receiver.raw(post(body))

    assert (status, got["error"]["code"]) == (400, code)
    assert receiver.left_behind() == []


async def test_a_body_of_another_kind(receiver: Receiver) -> None:
    status, got = await receiver.raw(post(b"{}", "application/json"))

    assert (status, got["error"]["code"]) == (415, "unsupported_media_type")


async def test_the_body_itself_as_the_file(receiver: Receiver) -> None:
    async with receiver.client.post(receiver.url, data=b"RIFF" * 10, headers={"Content-Type": "audio/wav"}) as answer:
        assert (await answer.json())["size"] == 40


async def test_too_large_is_told_before_it_is_sent(receiver: Receiver) -> None:
    head = (
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 900000000\r\nExpect: 100-continue\r\n\r\n"
    )
    status, got = await receiver.raw(head.encode())

    assert (status, got["error"]["code"]) == (413, "file_too_large")
    assert got["error"]["limit"] == LIMIT


async def test_too_large_is_counted_while_reading(receiver: Receiver) -> None:
    """A chunked body says nothing about its size."""

    async def chunks() -> AsyncIterator[bytes]:
        yield part(FILE, b"")[:-2]
        for _ in range(LIMIT // 100_000 + 2):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with receiver.client.post(receiver.url, data=chunks(), headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "file_too_large")
    assert receiver.left_behind() == []


async def test_a_caller_who_leaves_leaves_nothing(receiver: Receiver) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    body = part(FILE, bytes(2_500_000))
    writer.write(post(body)[: len(body) // 2])
    await writer.drain()
    await until(lambda: any(p.stat().st_size for p in receiver.left_behind()))
    writer.close()
    await writer.wait_closed()

    await until(lambda: receiver.left_behind() == [])


async def test_an_upload_that_does_not_move_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL_S", 0.2)

    status, got = await receiver.raw(post(part(FILE, bytes(1000)) + b"--b--\r\n")[:-500])

    assert (status, got["error"]["code"]) == (408, "upload_stalled")
    assert receiver.left_behind() == []


async def test_a_nearly_full_disk_takes_nothing(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FREE_FLOOR_BYTES", 1 << 60)

    status, got = await receiver.raw(post(part(FILE) + b"--b--\r\n"))

    assert (status, got["error"]["code"]) == (507, "disk_full")


async def test_a_disk_that_fills_up_meanwhile(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "write", full)

    status, got = await receiver.raw(post(part(FILE) + b"--b--\r\n"))

    assert (status, got["error"]["code"]) == (507, "disk_full")
    assert receiver.left_behind() == []


async def test_a_folder_that_takes_no_file(receiver: Receiver) -> None:
    receiver.folder.parent.mkdir(exist_ok=True, parents=True)
    receiver.folder.write_bytes(b"a file where the folder should be")

    status, got = await receiver.raw(post(part(FILE) + b"--b--\r\n"))

    assert (status, got["error"]["code"]) == (503, "storage_failed")
    receiver.folder.unlink()


HOLD = """
import asyncio, sys
from pathlib import Path
from whisperlive_hybrid.storage.incoming import incoming_file

async def hold():
    async with incoming_file(Path(sys.argv[1]), 1000):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def test_uploads_of_a_killed_server_go_at_the_next_start_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "upload-notes").mkdir()
    (tmp_path / "notes.txt").write_text("not ours")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"held\n"
    (theirs,) = tmp_path.glob("upload-*[0-9a-f]")

    async with disk.incoming_file(tmp_path, LIMIT) as ours:
        disk.prepare_folder(tmp_path)
        assert theirs.exists() and ours.path.exists()
        child.kill()
        await child.wait()
        disk.prepare_folder(tmp_path)
        assert not theirs.exists() and ours.path.exists()

    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "upload-notes"]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in 10 s")


async def test_a_caller_who_leaves_at_any_step(tmp_path: Path) -> None:
    """Also while the file is being deleted: the deletion is carried through."""

    async def hold() -> None:
        async with disk.incoming_file(tmp_path, LIMIT) as incoming:
            await incoming.write(bytes(disk.BLOCK_BYTES))

    for n_steps in range(12):
        task = asyncio.create_task(hold())
        for _ in range(n_steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await until(lambda: not list(tmp_path.iterdir()))
