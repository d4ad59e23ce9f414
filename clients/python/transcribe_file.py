"""Text of a file with times: python transcribe_file.py talk.mp3 [http://localhost:8080]"""

import sys

from whisperlive_hybrid.client import transcribe

path, url = sys.argv[1], (sys.argv[2:] or ["http://localhost:8080"])[0]
answer = transcribe(path, url=url)
print(f"{answer['info']['language']}, {answer['info']['duration']:.1f} s")
for segment in answer["segments"]:
    print(f"{segment['start']:7.2f} {segment['end']:7.2f} {segment['text'].strip()}")
