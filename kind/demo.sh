#!/usr/bin/env bash
# make kind-demo: a kind cluster with the images side-loaded, the Pods of examples/pods on it, and a look that fails when a
# helper has not kept its promise. KIND_NODE_IMAGE picks another node image; `kind delete cluster --name pod-helpers` ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
images=(pod-helpers/{demo,sidecar-logshipper,ambassador-proxy,adapter-metrics}:dev)
proxy=/api/v1/namespaces/default

kubectl() { command kubectl --context kind-pod-helpers "$@"; }

# show WHAT PATH LINES PATTERN [NOT] : prints the lines of an answer once one matches, and none matches NOT; else it fails
show() {
	local answer
	echo "--- $1"
	for _ in $(seq 60); do
		answer=$(kubectl get --raw "$proxy/$2" | grep -E "$3") || true
		grep -qE "$4" <<<"$answer" && ! grep -qE "${5:-^$}" <<<"$answer" && { echo "$answer"; return; }
		sleep 0.5
	done
	echo "$answer"
	echo "FAILED: no line is like $4${5:+, or one is like $5}" >&2
	return 1
}

kind get clusters | grep -qx pod-helpers ||
	kind create cluster --config kind/cluster.yaml --wait 120s ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
docker save -o "$archive" "${images[@]}" # an archive suits kind on podman, too
kind load image-archive --name pod-helpers "$archive"

kubectl delete pod/all-three job/report --ignore-not-found # of an earlier run, with its images
kubectl get secret upstream-tls >/dev/null 2>&1 || docker run --rm pod-helpers/demo:dev certs | kubectl apply -f -
kubectl apply -f examples/pods/backends.yaml
kubectl rollout status deployment/sink deployment/upstream --timeout=60s
kubectl apply -f examples/pods/all-three.yaml -f examples/pods/job.yaml
kubectl wait --for=condition=Ready pod/all-three --timeout=60s
kubectl wait --for=condition=Complete job/report --timeout=60s
kubectl get pods

show "lines that the receiver has counted" services/sink:9428/proxy/counts 'distinct|missing' '"missing": 0,'
show "what the ambassador retried" pods/all-three:19102/proxy/metrics ^ambassador_retries_total ' [1-9]'
show "so that the app saw no error" pods/all-three:19103/proxy/metrics '^shop_backend_errors_total' 'quote.* 0$' ' [1-9]'
show "its own statistics, for Prometheus" pods/all-three:19103/proxy/metrics ^shop_ 'shop_log_lines_total [1-9]'
echo "verdict: all three patterns held"
