#!/usr/bin/env bash
# The Pod of examples/pods/all-three.yaml with plain docker: one container holds the network, the others join it
# (--network container:), and directories are shared. Every container runs with a read-only root file system, without
# capabilities and as uid 65532. Needs `make images`. Ends with a verdict; SECONDS_UP=60 watches longer, KEEP=1 stays up until
# Ctrl-C, and gives the verdict then.
set -euo pipefail
cd "$(dirname "$0")/../.."
pod=pod-helpers-$$
work=$(mktemp -d)
seconds=${SECONDS_UP:-12}
arch=$(go env GOARCH)

clean_up() {
	docker ps -aq --filter "label=$pod" | xargs -r docker rm -f >/dev/null
	rm -rf "$work"
}
trap clean_up EXIT

# container NAME DOCKER_OPTIONS... : in the Pod's network, locked down
container() {
	local name=$1
	shift
	docker run -d --label "$pod" --name "$pod-$name" --network "container:$pod" \
		--read-only --cap-drop ALL --security-opt no-new-privileges --user 65532:65532 --memory 64m "$@" >/dev/null
}

# healthy NAME : waits until the image's own HEALTHCHECK says so
healthy() {
	for _ in $(seq 150); do
		[ "$(docker inspect -f '{{.State.Health.Status}}' "$pod-$1")" = healthy ] && { echo "  $1 is healthy"; return; }
		sleep 0.1
	done
	docker logs "$pod-$1" >&2
	echo "$1 did not turn healthy" >&2
	return 1
}

ask() { curl -fsS "http://$ip:$1"; }
sum() { awk '{ n += $1 } END { print n + 0 }'; }
number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; }

echo "starting the Pod …"
"bin/$arch/demo" volumes examples/pods/all-three.yaml "$work"
"bin/$arch/demo" certs --dir "$work/upstream-ca"
chmod -R a+rX "$work"
chmod 777 "$work/logs" "$work/state" # as an emptyDir is

# the holder is the receiver: names of the Pod's peers are its own address
docker run -d --label "$pod" --name "$pod" --add-host upstream:127.0.0.1 --add-host sink:127.0.0.1 \
	--read-only --cap-drop ALL --user 65532:65532 pod-helpers/demo:dev sink >/dev/null
ip=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$pod")
container upstream -v "$work/upstream-ca:/etc/upstream:ro" pod-helpers/demo:dev upstream

container logshipper -v "$work/logs:/var/log/app:ro" -v "$work/state:/state" -v "$work/config:/etc/helpers:ro" \
	-e LOG_DIR=/var/log/app -e SINK_URL=http://sink:9428/ingest \
	pod-helpers/sidecar-logshipper:dev --config=/etc/helpers/logshipper.yaml --state=/state
container ambassador -v "$work/upstream-ca:/etc/upstream:ro" -v "$work/config:/etc/helpers:ro" \
	-e BACKEND_LISTEN=127.0.0.1:8081 -e BACKEND_URL=https://upstream:8443 -e BACKEND_CA=/etc/upstream/ca.pem \
	pod-helpers/ambassador-proxy:dev --config=/etc/helpers/ambassador.yaml
container adapter -v "$work/config:/etc/helpers:ro" -e STATS_URL=http://127.0.0.1:8080/stats \
	pod-helpers/adapter-metrics:dev --config=/etc/helpers/adapter.yaml
for h in logshipper ambassador adapter; do healthy $h; done
container app -v "$work/logs:/var/log/app" pod-helpers/demo:dev app --listen=:8080 --rotate-bytes=65536 --backend=http://127.0.0.1:8081

echo "the app runs; watching for $seconds s …"
for ((i = 0; i < seconds; i++)); do
	sleep 1
	[ "$i" = $((seconds / 3)) ] && curl -fsS -X POST "http://$ip:9428/outage?on=true" && echo "  the receiver is off"
	[ "$i" = $((seconds * 2 / 3)) ] && curl -fsS -X POST "http://$ip:9428/outage?on=false" && echo "  the receiver is back"
	:
done
calls=$(ask 8080/stats | number calls | sum)
errors=$(ask 8080/stats | number errors | sum)
failures=$(ask 8444/counts | sed -n 's/.*"\(refused\|reset\)": \([0-9]*\).*/\2/p' | sum)
series=$(ask 19103/metrics | grep -c '^shop_')
if [ "${KEEP:-0}" != 0 ]; then
	echo "staying up: http://$ip:19101/ http://$ip:19102/ http://$ip:19103/metrics http://$ip:8080/stats ; Ctrl-C ends it"
	sleep infinity &
	sleeper=$!
	trap 'kill $sleeper' INT # it would ignore a Ctrl-C, as all in the background
	wait $sleeper || true
	trap - INT
fi

# stop as a kubelet does: the app first, then the helpers, each until it has ended by itself
codes=
for c in app adapter ambassador logshipper; do
	docker stop -t 40 "$pod-$c" >/dev/null
	codes+=" $c:$(docker inspect -f '{{.State.ExitCode}}' "$pod-$c")"
done
counts=$(ask 9428/counts)
distinct=$(number distinct <<<"$counts")
missing=$(number missing <<<"$counts")
refused=$(number refused <<<"$counts")
last=$(sed -n 's/.*"last": "\(.*\)".*/\1/p' <<<"$counts")

echo
echo "sidecar     $distinct lines received, $missing missing, last line \"$last\"; $refused batches refused during the outage"
echo "ambassador  $calls calls, $failures failed at the backend, $errors errors seen by the app"
echo "adapter     $series series of the app for Prometheus"
echo "exit codes $codes"
if [ "$distinct" -gt 0 ] && [ "$missing" = 0 ] && [ "$last" = farewell ] && [ "$refused" -gt 0 ] && [ "$calls" -gt 0 ] && [ "$errors" = 0 ] &&
	[ "$failures" -gt 0 ] && [ "$series" -gt 5 ] && [ "$codes" = " app:0 adapter:0 ambassador:0 logshipper:0" ]; then
	echo "verdict: all three patterns held"
else
	echo "verdict: FAILED"
	exit 1
fi
