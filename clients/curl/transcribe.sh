#!/bin/sh
# Transcribe a file: transcribe.sh talk.mp3 [json|text|srt|vtt] [language]
set -eu
curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    -F "file=@$1" \
    -F "format=${2:-json}" \
    -F "language=${3:-auto}" \
    "${SERVER:-http://localhost:8080}/transcribe"
