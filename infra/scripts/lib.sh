# shellcheck shell=bash  # sourced
# What the scripts share: saying things, and waiting with a reason.

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# blocked NAMESPACE: the pods that are not ready, each with what the cluster says of it, one a line.
blocked() {
    local pod ready status _
    kubectl --namespace "$1" get pods --no-headers 2>/dev/null | while read -r pod ready status _; do
        if [[ $status == Completed || $status == Succeeded || ($status == Running && ${ready%/*} == "${ready#*/}") ]]; then
            continue
        fi
        printf '%s %s %s\n' "$pod" "$status" "$(last_warning "$1" "$pod")"
    done
}

# last_warning NAMESPACE POD: the newest warning about the pod, in one line.
last_warning() {
    kubectl --namespace "$1" get events --sort-by=.lastTimestamp \
        --field-selector "involvedObject.name=$2,type=Warning" --output jsonpath='{.items[-1:].message}' 2>/dev/null |
        tr '\n' ' ' | cut -c -160
}

# wait_until SECONDS NAMESPACE WHAT COMMAND...: run the command until it succeeds, saying what keeps it from it.
wait_until() {
    local limit=$1 namespace=$2 what=$3 reason last='' start=$SECONDS
    shift 3
    until "$@" >/dev/null 2>&1; do
        reason=$(blocked "$namespace")
        if ((SECONDS - start > limit)); then
            fail "$what must be ready within $limit s but is not; see kubectl --namespace $namespace get pods:
${reason:-nothing runs yet}"
        fi
        if [[ $reason != "$last" ]]; then
            say "waiting for $what:"
            last=$reason
            reason=${reason:-nothing runs yet}
            printf '  %s\n' "${reason//$'\n'/$'\n  '}"
        fi
        sleep 5
    done
    say "$what is ready"
}

# Asked at once: `kubectl wait` asks one after the other, and its timeout is for all of them.
available() {
    local states
    states=$(kubectl --namespace "$1" get deployments --output \
        jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Available")].status}{"\n"}{end}')
    ! grep --quiet --invert-match ' True$' <<<"$states"
}

complete() { kubectl --namespace mlflow wait job/databases job/bucket --for=condition=Complete --timeout=5s; }
