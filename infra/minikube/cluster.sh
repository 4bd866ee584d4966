# shellcheck shell=bash disable=SC2034  # sourced by infra/scripts/cluster.sh, which uses these
NEEDS=(git docker minikube kubectl)
NEEDS_MIB=14336
OVERLAY=minikube

exists() { minikube profile list --light --output json 2>/dev/null | grep --quiet "\"Name\":\"$NAME\""; }

create() {
    # `start` takes up a cluster that is there. Calico, because minikube's own network enforces no NetworkPolicy.
    minikube start --profile "$NAME" --driver docker --kubernetes-version v1.36.1 --nodes 2 --cni calico \
        --cpus 4 --memory 6g --wait all
    # The second node stands for a GPU pool, with the label and the taint of a real one.
    kubectl label node "$NAME" mnist-pipeline/pool=cpu --overwrite
    kubectl label node "$NAME-m02" mnist-pipeline/pool=gpu --overwrite
    kubectl taint node "$NAME-m02" nvidia.com/gpu=present:NoSchedule --overwrite
}

load() {
    local image
    for image in "$@"; do
        minikube image load --profile "$NAME" "$image"
    done
}

destroy() { minikube delete --profile "$NAME"; }
