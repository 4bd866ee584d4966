#!/usr/bin/env bash
# Makes a stand-in for the official Python image out of Debian's packages, for machines that reach no image registry.
# usage: docker/debian-base.sh [IMAGE]   needs root, mmdebstrap and an engine
# CERTIFICATES names a file of certificates to trust besides the usual ones, where a package index is behind a proxy.
set -euo pipefail
image=${1:-debian-python:3.11}
options=() environment=()
if [[ -n ${CERTIFICATES:-} ]]; then
    # shellcheck disable=SC2016 # mmdebstrap expands $1, the new root
    options+=(--customize-hook='mkdir -p "$1/usr/local/share/certificates"'
        --customize-hook="upload $CERTIFICATES /usr/local/share/certificates/added.crt")
    added=/usr/local/share/certificates/added.crt
    environment+=(--change "ENV SSL_CERT_FILE=$added PIP_CERT=$added")
fi

# pip comes as a wheel, as in the official image: Debian's own drags a compiler's worth of packages along.
pip=$(mktemp -d)
trap 'rm -r "$pip"' EXIT
cat >"$pip/lock" <<'END'
pip==26.3 --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13
END
packages=usr/local/lib/python3.11/dist-packages
python3 -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement "$pip/lock" \
    --target "$pip/$packages"

# Without apt, documents and translations, which no image uses; and without usrmerge, which brings Perl.
# shellcheck disable=SC2016
mmdebstrap --quiet --variant=essential --include=usr-is-merged,python3,ca-certificates,libstdc++6 \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook="sync-in '$pip' /" --customize-hook='rm "$1/lock"' \
    "${options[@]}" bookworm - |
    "${DOCKER:-docker}" import "${environment[@]}" --change 'CMD ["python3"]' - "$image"
