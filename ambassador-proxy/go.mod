module github.com/pod-helpers/pod-helpers/ambassador-proxy

go 1.26.0

require go.uber.org/goleak v1.3.0 // indirect
