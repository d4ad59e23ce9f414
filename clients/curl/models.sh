#!/bin/sh
# The models of the server.
set -eu
curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer ${API_KEY:-none}" \
    "${SERVER:-http://localhost:8080}/v1/models"
