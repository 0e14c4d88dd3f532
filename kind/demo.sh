#!/usr/bin/env bash
# make kind-demo: a kind cluster with the images side-loaded, the Pod of examples/pods/all-three.yaml on it, and a look.
# KIND_NODE_IMAGE picks another node image; `kind delete cluster --name pod-helpers` ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$(go env GOARCH)
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "bin/$arch/demo" ./examples/demo
docker build -q --build-arg "ARCH=$arch" -f examples/demo/Dockerfile -t pod-helpers/demo:dev . >/dev/null

kind get clusters | grep -qx pod-helpers ||
	kind create cluster --config kind/cluster.yaml --wait 120s ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
kind load docker-image --name pod-helpers pod-helpers/{demo,sidecar-logshipper,ambassador-proxy,adapter-metrics}:dev

kubectl() { command kubectl --context kind-pod-helpers "$@"; }
docker run --rm pod-helpers/demo:dev certs | kubectl apply -f -
kubectl apply -f examples/pods/backends.yaml -f examples/pods/all-three.yaml -f examples/pods/job.yaml
kubectl rollout status deployment/sink deployment/upstream --timeout=60s
kubectl wait --for=condition=Ready pod/all-three --timeout=60s
kubectl wait --for=condition=Complete job/report --timeout=60s
kubectl get pods

proxy=/api/v1/namespaces/default
echo "--- lines that the receiver has counted: missing must be 0"
kubectl get --raw "$proxy/services/sink:9428/proxy/counts"
echo "--- the app's own statistics, as Prometheus reads them: errors must be 0"
kubectl get --raw "$proxy/pods/all-three:19103/proxy/metrics" | grep ^shop_
echo "--- what the ambassador retried, so that the app saw no error"
kubectl get --raw "$proxy/pods/all-three:19102/proxy/metrics" | grep ^ambassador_retries_total
