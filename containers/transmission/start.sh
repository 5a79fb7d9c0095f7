#!/bin/sh
# Starts the daemon in the foreground, on the folders that the container's volumes are.
set -eu
mkdir -p /downloads/complete /downloads/incomplete
exec transmission-daemon --foreground \
  --config-dir /config \
  --download-dir /downloads/complete \
  --incomplete-dir /downloads/incomplete \
  --log-level=info
