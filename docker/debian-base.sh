#!/usr/bin/env bash
# Makes a stand-in for the official Python image out of Debian's packages, for machines that reach no image registry.
# usage: docker/debian-base.sh [IMAGE]   needs root, mmdebstrap and an engine
set -euo pipefail
image=${1:-debian-python:3.11}
certificates=/etc/ssl/certs/ca-certificates.crt

# pip comes as a wheel, as in the official image: Debian's own drags a compiler's worth of packages along.
install_pip="python3 -m pip install --quiet --disable-pip-version-check --no-compile --target \"\$1\"/usr/local/lib/python3.11/dist-packages pip"

# The machine's own certificates: it may reach its package index through a proxy of its own.
# shellcheck disable=SC2016 # mmdebstrap expands $1, the new root
mmdebstrap --quiet --variant=minbase --include=python3 \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook='mkdir -p "$1/etc/ssl/certs"' \
    --customize-hook="copy-in $certificates /etc/ssl/certs" \
    --customize-hook="$install_pip" \
    bookworm - |
    "${DOCKER:-docker}" import \
        --change "ENV SSL_CERT_FILE=$certificates PIP_CERT=$certificates" \
        --change 'CMD ["python3"]' \
        - "$image"
