#!/usr/bin/env bash
# Build an API server of Kubernetes and its controllers from Debian 12's source, and put etcd beside them, in a directory:
# `bash benchmarks/reliability/kubernetes.sh DIRECTORY`, as root on Debian 12.
set -euo pipefail
target=$(realpath --canonicalize-missing "${1:?name the directory for the programs}")
version=1.20.5+really1.20.2-1.1+deb12u1
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
cd "$work"

# Debian's own sources, from where the machine gets its packages.
mkdir -p sources lists/partial
for file in /etc/apt/sources.list.d/*.sources; do
    sed 's/^Types:.*/Types: deb deb-src/' "$file" >"sources/$(basename "$file")"
done
apt=(-o "Dir::Etc::sourceparts=$work/sources" -o Dir::Etc::sourcelist=- -o "Dir::State::lists=$work/lists" -qq)
apt-get "${apt[@]}" update
apt-get "${apt[@]}" install -y --no-install-recommends \
    dpkg-dev etcd-server golang-github-modern-go-reflect2-dev golang-go jq make openssl patch rsync >/dev/null
apt-get "${apt[@]}" source "kubernetes=$version" >/dev/null

cd kubernetes-*/
# The release's own reads maps as Go did before 1.18, and crashes with Debian's compiler.
rm vendor/github.com/modern-go/reflect2/*.{go,s}
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} vendor/github.com/modern-go/reflect2/
mkdir -p .go/src/k8s.io
ln -s ../../.. .go/src/k8s.io/kubernetes
export GOPATH=$PWD/.go GOCACHE=$work/cache CGO_ENABLED=0
export KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20 KUBE_GIT_COMMIT=debian KUBE_GIT_TREE_STATE=clean
make WHAT="cmd/kube-apiserver cmd/kube-controller-manager"
mkdir -p "$target"
cp _output/bin/kube-apiserver _output/bin/kube-controller-manager /usr/bin/etcd "$target"
