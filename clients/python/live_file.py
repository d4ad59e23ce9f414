"""Live captions of a 16-bit WAV, as if it were spoken now: python live_file.py talk.wav [ws://localhost:5050]"""

import asyncio
import sys
import wave

from whisperlive_hybrid.client import LiveSession


async def main(path: str, url: str) -> None:
    with wave.open(path) as audio:
        options = {"sample_rate": audio.getframerate(), "channels": audio.getnchannels()}
        async with LiveSession(url, codec="pcm_s16le", **options) as session:

            async def speak() -> None:
                while block := audio.readframes(audio.getframerate() // 2):
                    await session.send(block)
                    await asyncio.sleep(0.5)
                await session.stop()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak())
                async for event in session:
                    if event["type"] == "final":
                        print(event["text"], flush=True)


asyncio.run(main(sys.argv[1], (sys.argv[2:] or ["ws://localhost:5050"])[0]))
