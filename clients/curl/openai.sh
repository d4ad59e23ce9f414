#!/bin/sh
# Transcribe by the OpenAI API: openai.sh talk.mp3 [json|text|srt|vtt|verbose_json]
set -eu
curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    -F "file=@$1" \
    -F model=whisper-1 \
    -F "response_format=${2:-json}" \
    "${SERVER:-http://localhost:8080}/v1/audio/transcriptions"
