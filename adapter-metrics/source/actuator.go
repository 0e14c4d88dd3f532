package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// An Actuator gets the documents of Spring Boot's /actuator/metrics: the list of names, then one document for each, a few
// at a time. They follow each other in the order of the list.
type Actuator struct{ *HTTP }

const (
	actuatorNames  = 500 // far more than an app has
	actuatorAtOnce = 4
)

// Fetch implements Fetcher.
func (a Actuator) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	text, err := a.get(ctx, a.o.URL, nil)
	if err != nil {
		return buf, err
	}
	var list struct{ Names []string }
	if err := json.Unmarshal(text, &list); err != nil || list.Names == nil {
		return buf, errors.New("get document: no list of metrics (is the url .../actuator/metrics?)")
	}
	if len(list.Names) > actuatorNames {
		return buf, fmt.Errorf("get document: %d metrics are more than %d", len(list.Names), actuatorNames)
	}
	documents, err := a.each(ctx, list.Names)
	for _, d := range documents {
		buf = append(append(buf, d...), '\n')
	}
	if int64(len(buf)) > a.o.Limit {
		return buf, &TooLargeError{Limit: a.o.Limit}
	}
	return buf, err
}

// each gets the documents of all names. One that is gone since the list was made is no error.
func (a Actuator) each(ctx context.Context, names []string) ([][]byte, error) {
	documents, errs := make([][]byte, len(names)), make([]error, len(names))
	next := make(chan int)
	var wg sync.WaitGroup
	for range actuatorAtOnce {
		wg.Go(func() {
			for i := range next {
				var gone *StatusError
				documents[i], errs[i] = a.get(ctx, strings.TrimSuffix(a.o.URL, "/")+"/"+url.PathEscape(names[i]), nil)
				if errors.As(errs[i], &gone) && strings.HasPrefix(gone.Status, "404") {
					documents[i], errs[i] = nil, nil
				}
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	wg.Wait()
	return documents, errors.Join(errs...)
}
