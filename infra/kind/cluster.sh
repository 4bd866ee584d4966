# shellcheck shell=bash disable=SC2034  # sourced by infra/scripts/cluster.sh, which uses these
NEEDS=(git docker kind kubectl)
NEEDS_MIB=12288
OVERLAY=kind
# Kubernetes 1.36.1 as built for kind 0.32; KIND_NODE_IMAGE chooses another.
NODE_IMAGE=${KIND_NODE_IMAGE:-kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5}

exists() { kind get clusters 2>/dev/null | grep --quiet --line-regexp "$NAME"; }

create() {
    if exists; then
        kind export kubeconfig --name "$NAME" --kubeconfig "$KUBECONFIG" --quiet
    else
        kind create cluster --config infra/kind/cluster.yaml --image "$NODE_IMAGE" --kubeconfig "$KUBECONFIG" --wait 5m
    fi
}

load() { kind load docker-image --name "$NAME" "$@"; }

destroy() { kind delete cluster --name "$NAME" --kubeconfig "$KUBECONFIG"; }
