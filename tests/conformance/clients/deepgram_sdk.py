"""Runs in an environment that has deepgram-sdk: carries out the call that standard input describes, prints what came.

Input is JSON: `http`, `socket` (base addresses), `key`, `call` (file, address, live, live_async), `options`, and `path`
or `address`; for live calls `then` (messages after the audio), `pace` (seconds between messages) and `message_bytes`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.unchecked_base_model import UncheckedBaseModel
from deepgram.environment import DeepgramClientEnvironment
from websockets.exceptions import InvalidStatus


def plain(value: Any) -> dict[str, Any]:
    """A model of the client's, and the name of its class: what the client took the message for."""
    assert isinstance(value, UncheckedBaseModel), value
    return {"class": type(value).__name__, **json.loads(value.json())}


def environment(call: dict[str, Any]) -> DeepgramClientEnvironment:
    elsewhere = {"agent": call["socket"], "agent_rest": call["http"]}
    return DeepgramClientEnvironment(base=call["http"], production=call["socket"], **elsewhere)


def files(call: dict[str, Any]) -> Any:
    client = DeepgramClient(api_key=call["key"], environment=environment(call))
    media = client.listen.v1.media
    if call["call"] == "address":
        return plain(media.transcribe_url(url=call["address"], **call["options"]))
    return plain(media.transcribe_file(request=Path(call["path"]).read_bytes(), **call["options"]))


def messages(call: dict[str, Any]) -> list[bytes]:
    data, n = Path(call["path"]).read_bytes(), call["message_bytes"]
    return [data[i : i + n] for i in range(0, len(data), n)]


def control(connection: Any, name: str) -> Any:
    """Send a message without audio (the asynchronous client's has to be awaited)."""
    senders = {"Finalize": "send_finalize", "KeepAlive": "send_keep_alive", "CloseStream": "send_close_stream"}
    return getattr(connection, senders[name])()


def live(call: dict[str, Any]) -> list[dict[str, Any]]:
    client = DeepgramClient(api_key=call["key"], environment=environment(call))
    with client.listen.v1.connect(**call["options"]) as connection:

        def speak() -> None:
            for message in messages(call):
                connection.send_media(message)
                time.sleep(call["pace"])
            for name in call["then"]:
                control(connection, name)

        speaker = threading.Thread(target=speak)
        speaker.start()
        heard = [plain(message) for message in connection]
        speaker.join()
    return heard


async def live_async(call: dict[str, Any]) -> list[dict[str, Any]]:
    client = AsyncDeepgramClient(api_key=call["key"], environment=environment(call))
    async with client.listen.v1.connect(**call["options"]) as connection:

        async def speak() -> None:
            for message in messages(call):
                await connection.send_media(message)
                await asyncio.sleep(call["pace"])
            for name in call["then"]:
                await control(connection, name)

        speaker = asyncio.create_task(speak())
        heard = [plain(message) async for message in connection]
        await speaker
    return heard


def main() -> None:
    call = json.load(sys.stdin)
    try:
        if call["call"] == "live":
            result: Any = live(call)
        elif call["call"] == "live_async":
            result = asyncio.run(live_async(call))
        else:
            result = files(call)
        print(json.dumps({"result": result}))
    except ApiError as error:
        print(json.dumps({"error": {"class": type(error).__name__, "status": error.status_code, "body": error.body}}))
    except InvalidStatus as error:  # what the client lets through with websockets' newer API
        body = json.loads(error.response.body or b"null")
        print(json.dumps({"error": {"class": "InvalidStatus", "status": error.response.status_code, "body": body}}))


if __name__ == "__main__":
    main()
