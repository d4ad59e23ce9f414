"""Live captions of raw PCM (16 bit, 16 kHz, mono) from standard input, without asyncio.

arecord -q -t raw -f S16_LE -r 16000 | python live_blocking.py [ws://localhost:5050]
"""

import sys
import threading

from whisperlive_hybrid.client import BlockingLiveSession

url = (sys.argv[1:] or ["ws://localhost:5050"])[0]
with BlockingLiveSession(url, codec="pcm_s16le") as session:

    def speak() -> None:
        while block := sys.stdin.buffer.read(16000):
            session.send(block)
        session.stop()

    threading.Thread(target=speak, daemon=True).start()
    for event in session:
        if event["type"] == "final":
            print(event["text"], flush=True)
