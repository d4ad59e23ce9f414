#!/bin/sh
# Keep a file, queue a job, wait by its events, get the result: job.sh talk.mp3 [txt|json|srt|vtt]
# Ids and events go to stderr, the result to stdout. Clip, job and result stay on the server until they are deleted.
set -eu
api="${SERVER:-http://localhost:8080}/api"
call() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer ${API_KEY:-none}" "$@"; }
field() { printf '%s' "$2" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
refused() { printf '%s\n' "$1" >&2; exit 22; }

answer=$(call -F "file=@$1" "$api/audio") || refused "$answer"
clip=$(field clip_id "$answer")
answer=$(call -F "clip_id=$clip" -F "name=${1##*/}" "$api/jobs") || refused "$answer"
job=$(field job_id "$answer")
echo "clip $clip, job $job" >&2

# A connection that breaks does not stop the job: it is followed again. What the server refuses (22) ends here.
until call --no-buffer "$api/jobs/$job/events?format=ndjson" >&2; do
    [ $? -ne 22 ] || exit 22
    sleep 1
done
call "$api/jobs/$job/result?format=${2:-txt}"
