#!/usr/bin/env bash
# cluster.sh kind|minikube up|run|ui|down: the whole platform on one machine. Every verb can be repeated.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source-path=SCRIPTDIR
source infra/scripts/lib.sh

NAME=mnist-pipeline
provider=${1:?kind or minikube} verb=${2:?up, run, ui or down}
# A file of its own: what follows can never reach the cluster that your own configuration points at.
export KUBECONFIG=$PWD/.kube/$provider
# The environment brings a kubectl, for those who have none.
export PATH=$PATH:$PWD/.venv/bin
mkdir -p .kube
# shellcheck source=/dev/null
source "infra/$provider/cluster.sh"

preflight() {
    local tool missing=() memory
    for tool in "${NEEDS[@]}"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [[ ${#missing[@]} == 0 ]] || fail "$provider needs ${NEEDS[*]} but there is no ${missing[*]}: install it."
    memory=$(docker info --format '{{.MemTotal}}' 2>/dev/null) && [[ $memory =~ ^[0-9]+$ && $memory != 0 ]] ||
        fail "docker must answer but does not: start it, and let your user reach it (docker info says why not)."
    memory=$((memory / 1048576))
    ((memory >= NEEDS_MIB)) || [[ -n ${SKIP_MEMORY_CHECK:-} ]] ||
        fail "docker must have $NEEDS_MIB MiB of memory for Kubeflow but has $memory: give it more, or set SKIP_MEMORY_CHECK=1."
    [[ -x .venv/bin/mnist-pipeline ]] || fail "the environment must be there but is not: run make env."
}

steps_image() { .venv/bin/python -c 'from pipelines.compile import default_image; print(default_image())'; }

mlflow_image() {
    kubectl kustomize "infra/overlays/$OVERLAY" | sed -n 's/^ *image: \(mnist-pipeline-mlflow:.*\)/\1/p' | head -n 1
}

# build IMAGE TARGET: images are named by what they hold, so one that is there need not be built again.
build() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    say "building $1"
    make image TARGET="$2" IMAGE="$1"
}

images() {
    local steps mlflow
    steps=$(steps_image)
    mlflow=$(mlflow_image)
    [[ $steps =~ :[0-9a-f]{40}$ ]] ||
        fail "the steps' image must be named by a commit but would be $steps: commit your changes."
    build "$steps" cpu
    build "$mlflow" mlflow-server
    say "loading $steps $mlflow"
    load "$steps" "$mlflow"
}

apply() { kubectl apply "$@" >/dev/null; }

kubeflow() {
    say "applying Kubeflow Pipelines 2.17.0"
    apply --kustomize infra/kubeflow/cluster-scoped
    kubectl wait crd/applications.app.k8s.io --for=condition=Established --timeout=60s >/dev/null
    apply --filename infra/base/mlflow/namespace.yaml
    infra/scripts/secrets.sh
    apply --kustomize infra/kubeflow/injected
    wait_until 1800 kubeflow "Kubeflow Pipelines" available kubeflow
}

mlflow() {
    say "applying MLflow"
    # A Job cannot be changed, and both do nothing where their work is done.
    kubectl --namespace mlflow delete job databases bucket --ignore-not-found >/dev/null
    apply --kustomize "infra/overlays/$OVERLAY"
    # A Job that fails while an image is pulled or SeaweedFS starts waits up to 5 minutes before it tries again.
    wait_until 900 mlflow "databases and bucket" complete
    wait_until 600 mlflow MLflow available mlflow
}

up() {
    preflight
    create
    images
    kubeflow
    mlflow
    cat <<EOF
The platform is up. From here:
  make $provider-run       run the pipeline and follow it
  make $provider-ui        Kubeflow at http://localhost:8080, MLflow at http://localhost:5000
  make $provider-down      remove it all
  export KUBECONFIG=$KUBECONFIG    to use kubectl yourself
EOF
}

running() { exists || fail "there is no $provider cluster $NAME: make one with make $provider-up."; }

run() {
    preflight
    running
    .venv/bin/mnist-pipeline submit --experiment "$NAME" --create-experiment --wait "$@"
}

ui() {
    running
    trap 'kill $(jobs -p) 2>/dev/null' EXIT
    kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80 &
    kubectl --namespace mlflow port-forward service/mlflow 5000:5000 &
    say "Kubeflow at http://localhost:8080, MLflow at http://localhost:5000; Ctrl-C to stop"
    wait -n || true
    fail "a tunnel ended."
}

down() {
    exists || { say "there is no $provider cluster $NAME"; return; }
    destroy
    rm -f "$KUBECONFIG"
}

case $verb in
    up | ui | down) "$verb" ;;
    run) run "${@:3}" ;;
    *) fail "cluster.sh takes up, run, ui or down but got $verb." ;;
esac
