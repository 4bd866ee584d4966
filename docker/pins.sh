#!/usr/bin/env bash
# Pins the base images and those of the compose file: each NAME:TAG gets the digest that its registry names now.
set -euo pipefail
cd "$(dirname "$0")/.."

files=(docker/Dockerfile docker/mlflow-server/Dockerfile docker/compose.yaml)
# Of `ARG BASE=NAME:TAG` and `${VARIABLE:-NAME:TAG}`, with or without a digest; our own image is built, not pulled.
mapfile -t images < <(sed -nE 's/^(ARG BASE=|.*image: \$\{\w+:-)([^@}]+)(@sha256:[0-9a-f]{64})?\}?.*$/\2/p' "${files[@]}" |
    grep --invert-match '^mnist-pipeline' | sort --unique)
for image in "${images[@]}"; do
    "${DOCKER:-docker}" pull --quiet "$image" >/dev/null
    digest=$("${DOCKER:-docker}" image inspect --format '{{index .RepoDigests 0}}' "$image")
    digest=${digest##*@}
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "error: $image must have a digest but has '$digest'." >&2 && exit 1; }
    sed -E -i "s#(=|:-)${image//./\\.}(@sha256:[0-9a-f]{64})?(\}|\$)#\1$image@$digest\3#" "${files[@]}"
    echo "$image@$digest"
done
