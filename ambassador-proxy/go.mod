module github.com/pod-helpers/pod-helpers/ambassador-proxy

go 1.26.0
