module github.com/pod-helpers/pod-helpers/examples

go 1.26.0

require github.com/prometheus/client_model v0.6.3

require github.com/pandatix/go-abnf v0.5.3 // indirect

require (
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/common v0.73.1
	go.yaml.in/yaml/v4 v4.0.0
	google.golang.org/protobuf v1.36.12 // indirect
)
