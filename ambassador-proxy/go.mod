module github.com/pod-helpers/pod-helpers/ambassador-proxy

go 1.26.0

require (
	github.com/pod-helpers/pod-helpers/internal/kit v0.0.0
	github.com/prometheus/client_golang v1.25.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.50.0
)

replace github.com/pod-helpers/pod-helpers/internal/kit => ../internal/kit
