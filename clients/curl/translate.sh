#!/bin/sh
# Translate speech into English by the OpenAI API: translate.sh vortrag.mp3
set -eu
curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    -F "file=@$1" \
    -F model=whisper-1 \
    "${SERVER:-http://localhost:8080}/v1/audio/translations"
