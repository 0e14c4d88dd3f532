module github.com/pod-helpers/pod-helpers/sidecar-logshipper

go 1.26.0
