package sink

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func post(t *testing.T, h http.Handler, path, body string, headers ...string) int {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func counts(t *testing.T, h http.Handler, query string) (c Counts) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/counts"+query, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSink_KnowsWhichLinesAreMissingAndWhichCameTwice(t *testing.T) {
	h := New()
	post(t, h, "/ingest", `{"run":"a","seq":1,"msg":"x"}
{"run":"a","seq":2}
{"run":"a","seq":2}
{"run":"a","seq":5,"msg":"last"}
{"run":"a","seq":4}
{"other":true}
`)
	want := Counts{Lines: 5, Distinct: 4, Duplicates: 1, Missing: 1, OutOfOrder: 1, Unnumbered: 1, Requests: 1, Last: "last"}
	if got := counts(t, h, ""); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestSink_CountsTheRunsOfOnePodAlone(t *testing.T) {
	h := New()
	post(t, h, "/ingest", `{"run":"a-1","seq":1}`+"\n"+`{"run":"b-1","seq":1}`+"\n")
	if got := counts(t, h, "?run=a-").Lines; got != 1 {
		t.Errorf("got %d lines of run a", got)
	}
}

func TestSink_RefusesEverythingDuringAnOutage(t *testing.T) {
	h := New()
	post(t, h, "/outage?on=true", "")
	if code := post(t, h, "/ingest", `{"run":"a","seq":1}`); code != http.StatusServiceUnavailable {
		t.Errorf("got status %d", code)
	}
	post(t, h, "/outage?on=false", "")
	post(t, h, "/ingest", `{"run":"a","seq":1}`)
	if got := counts(t, h, ""); got.Refused != 1 || got.Lines != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestSink_CountsNothingOfABrokenBatch(t *testing.T) {
	h := New()
	if code := post(t, h, "/ingest", `{"run":"a","seq":1}`+"\n{broken\n"); code != http.StatusBadRequest {
		t.Errorf("got status %d", code)
	}
	if got := counts(t, h, "").Lines; got != 0 {
		t.Errorf("counted %d lines", got)
	}
}

func TestSink_ReadsGzipAndLinesInsideAMessage(t *testing.T) {
	h := New()
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	z.Write([]byte(`{"message":"{\"run\":\"a\",\"seq\":1,\"msg\":\"inner\"}"}` + "\n"))
	z.Close()
	post(t, h, "/ingest", body.String(), "Content-Encoding", "gzip")
	if got := counts(t, h, ""); got.Distinct != 1 || got.Last != "inner" {
		t.Errorf("got %+v", got)
	}
}
