#!/usr/bin/env bash
# Builds one image, and says what it came to.
# usage: docker/build.sh cpu|gpu|predict|mlflow-server [IMAGE]
# BASE names another base image than the Dockerfile does; BUILD_OPTIONS go to the engine as they are.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?name a target: cpu, gpu, predict or mlflow-server}
# A cluster's cache trusts the tag, so it names the commit, and a changed checkout as such.
revision=$(git describe --always --dirty --abbrev=40 --exclude='*')
case $target in
cpu) name=mnist-pipeline:$revision ;;
gpu) name=mnist-pipeline-gpu:$revision ;;
predict) name=mnist-pipeline-predict:$revision ;;
mlflow-server) name=mnist-pipeline-mlflow:$(sed -n 's/^mlflow==\([^ ]*\).*/\1/p' requirements/mlflow-server.lock) ;;
*) echo "error: the target must be cpu, gpu, predict or mlflow-server but got '$target'" >&2 && exit 1 ;;
esac
image=${2:-$name}
docker=${DOCKER:-docker}
read -ra options <<<"${BUILD_OPTIONS:-}"

file=docker/Dockerfile
if [[ $target == mlflow-server ]]; then file=docker/mlflow-server/Dockerfile; fi

DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1} "$docker" build "${options[@]}" \
    --file "$file" --target "$target" --tag "$image" \
    ${BASE:+--build-arg BASE="$BASE"} \
    --build-arg REVISION="$revision" \
    --build-arg LOCK_DIGEST="$(sha256sum "requirements/$target.lock" | cut -d " " -f 1)" \
    --build-arg VERSION="$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
    --build-arg SOURCE="${SOURCE:-}" \
    .
bytes=$("$docker" image inspect --format '{{.Size}}' "$image")
echo "built $image: $((bytes / 1000000)) MB in $SECONDS s"
