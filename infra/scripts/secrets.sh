#!/usr/bin/env bash
# Make the Secrets that the manifests refer to, in the cluster of kubectl's current context. A Secret that is there stays
# as it is, so this can be run as often as you like. Values reach kubectl through a pipe and never a command line.
# usage: secrets.sh [kubeflow]   with `kubeflow` those alone that infra/kubeflow needs
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
source lib.sh

exists() { kubectl --namespace "$1" get "${3:-secret}" "$2" >/dev/null 2>&1; }

# value NAMESPACE SECRET KEY
value() { kubectl --namespace "$1" get secret "$2" --output "jsonpath={.data.$3}" | base64 --decode; }

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# create NAMESPACE SECRET KEY VALUE [KEY VALUE ...]
create() {
    local namespace=$1 secret=$2
    shift 2
    {
        printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ndata:\n' "$secret" "$namespace"
        while (($#)); do
            printf '  %s: %s\n' "$1" "$(printf %s "$2" | base64 | tr -d '\n')"
            shift 2
        done
    } | kubectl create --filename - >/dev/null
    say "made secret $namespace/$secret"
}

# identity NAMESPACE SECRET NAME KEY_FIELD SECRET_FIELD: a Secret with the store's key of one identity.
identity() {
    exists "$1" "$2" ||
        create "$1" "$2" \
            "$4" "$(value kubeflow seaweedfs-identities "$3_key")" \
            "$5" "$(value kubeflow seaweedfs-identities "$3_secret")"
}

exists kubeflow mlpipeline-minio-artifact ||
    create kubeflow mlpipeline-minio-artifact accesskey "$(random)" secretkey "$(random)"
if ! exists kubeflow seaweedfs-identities; then
    identities=$(<../seaweedfs/identities.json)
    keys=()
    for name in bucket mlflow steps monitor serve artifacts; do
        key=$(random) secret=$(random)
        identities=${identities//@$name-key@/$key}
        identities=${identities//@$name-secret@/$secret}
        keys+=("${name}_key" "$key" "${name}_secret" "$secret")
    done
    create kubeflow seaweedfs-identities identities.json "$identities" "${keys[@]}"
fi
identity kubeflow mnist-pipeline-artifacts artifacts accesskey secretkey
[[ ${1:-} != kubeflow ]] || exit 0

server=postgres.mlflow.svc.cluster.local:5432

identity mlflow bucket-s3 bucket AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
identity mlflow mlflow-s3 mlflow AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
exists mlflow postgres || create mlflow postgres password "$(random)"
if ! exists mlflow mlflow-database; then
    password=$(random)
    create mlflow mlflow-database password "$password" uri "postgresql+psycopg2://mlflow:$password@$server/mlflow"
fi
if ! exists mlflow optuna-database; then
    create mlflow optuna-database password "$(random)"
    # After the namespace mlflow was deleted, what the steps have holds the password of a database that is gone.
    kubectl --namespace kubeflow delete secret mnist-pipeline --ignore-not-found >/dev/null
fi
exists kubeflow mnist-pipeline ||
    create kubeflow mnist-pipeline \
        AWS_ACCESS_KEY_ID "$(value kubeflow seaweedfs-identities steps_key)" \
        AWS_SECRET_ACCESS_KEY "$(value kubeflow seaweedfs-identities steps_secret)" \
        OPTUNA_STORAGE "postgresql+psycopg2://optuna:$(value mlflow optuna-database password)@$server/optuna"
identity kubeflow mnist-pipeline-monitoring monitor AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# Of a served model that keeps requests (infra/kserve).
exists kubeflow mnist-model-log ||
    create kubeflow mnist-model-log \
        S3_ENDPOINT_URL http://seaweedfs.kubeflow.svc.cluster.local:9000 \
        AWS_ACCESS_KEY_ID "$(value kubeflow seaweedfs-identities serve_key)" \
        AWS_SECRET_ACCESS_KEY "$(value kubeflow seaweedfs-identities serve_secret)"
# `register` alone is given the private key. Whoever has it can sign models.
exists kubeflow mnist-pipeline-signing ||
    create kubeflow mnist-pipeline-signing \
        MODEL_SIGNING_KEY "$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)"
exists kubeflow mnist-pipeline-public-keys configmap ||
    value kubeflow mnist-pipeline-signing MODEL_SIGNING_KEY | openssl pkey -pubout |
    kubectl --namespace kubeflow create configmap mnist-pipeline-public-keys \
        --from-file=MODEL_PUBLIC_KEYS=/dev/stdin >/dev/null
