#!/bin/sh
# How the server is; exit status 22 while it loads or shuts down.
set -eu
curl --silent --show-error --fail-with-body "${SERVER:-http://localhost:8080}/health"
