module github.com/pod-helpers/pod-helpers/internal/kit

go 1.26.0
