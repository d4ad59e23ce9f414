#!/bin/sh
# Transcribe a long file and see it grow, a line of JSON at a time: progress.sh talk.mp3
set -eu
curl --silent --show-error --fail-with-body --no-buffer \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    -H "Accept: application/x-ndjson" \
    -F "file=@$1" \
    "${SERVER:-http://localhost:8080}/transcribe"
