module github.com/pod-helpers/pod-helpers/examples

go 1.26.0
