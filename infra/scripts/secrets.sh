#!/usr/bin/env bash
# Make the Secrets that the manifests refer to, in the cluster of kubectl's current context. A Secret that is there stays
# as it is, so this can be run as often as you like. Values reach kubectl through a pipe and never a command line.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
source lib.sh

exists() { kubectl --namespace "$1" get secret "$2" >/dev/null 2>&1; }

# value NAMESPACE SECRET KEY
value() { kubectl --namespace "$1" get secret "$2" --output "jsonpath={.data.$3}" | base64 --decode; }

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# create NAMESPACE SECRET KEY VALUE [KEY VALUE ...]
create() {
    local namespace=$1 secret=$2
    shift 2
    {
        printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\nstringData:\n' "$secret" "$namespace"
        printf '  %s: "%s"\n' "$@"
    } | kubectl create --filename - >/dev/null
    say "made secret $namespace/$secret"
}

server=postgres.mlflow.svc.cluster.local:5432

exists kubeflow mlpipeline-minio-artifact ||
    create kubeflow mlpipeline-minio-artifact accesskey "$(random)" secretkey "$(random)"
exists mlflow mlflow-s3 ||
    create mlflow mlflow-s3 \
        AWS_ACCESS_KEY_ID "$(value kubeflow mlpipeline-minio-artifact accesskey)" \
        AWS_SECRET_ACCESS_KEY "$(value kubeflow mlpipeline-minio-artifact secretkey)"
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
        AWS_ACCESS_KEY_ID "$(value mlflow mlflow-s3 AWS_ACCESS_KEY_ID)" \
        AWS_SECRET_ACCESS_KEY "$(value mlflow mlflow-s3 AWS_SECRET_ACCESS_KEY)" \
        OPTUNA_STORAGE "postgresql+psycopg2://optuna:$(value mlflow optuna-database password)@$server/optuna"
