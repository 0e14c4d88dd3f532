module github.com/pod-helpers/pod-helpers/bench

go 1.26.0
