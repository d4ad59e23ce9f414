#!/bin/sh
# Transcribe a file that the server fetches: transcribe_url.sh https://example.org/talk.mp3
set -eu
curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    --data-urlencode "url=$1" \
    "${SERVER:-http://localhost:8080}/transcribe/url"
