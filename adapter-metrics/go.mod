module github.com/pod-helpers/pod-helpers/adapter-metrics

go 1.26.0
