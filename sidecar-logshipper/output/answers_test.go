package output

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// answering opens a row of the suite against a server that gives the same answer to everything.
func answering(t *testing.T, config func(HTTPConfig) Config, code int, answer string) *shipper {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return open(t, config(HTTPConfig{URL: s.URL}))
}

func splunkOf(h HTTPConfig) Config { return Config{Splunk: &SplunkConfig{HTTPConfig: h}} }
func otlpOf(h HTTPConfig) Config   { return Config{OTLP: &OTLPConfig{HTTPConfig: h}} }

func TestSplunk_TheEventThatIsNamedInvalidIsRefusedAndThoseAfterItAreSentAgain(t *testing.T) {
	out := answering(t, splunkOf, http.StatusBadRequest, `{"text":"Event field cannot be blank","code":12,"invalid-event-number":2}`)
	partial, ok := errors.AsType[*Partial](out.send(t.Context(), numbered(5)))
	if !ok || len(partial.Rejected) != 1 || partial.Rejected[0].Index != 2 || partial.Rejected[0].Reason != "Event field cannot be blank" {
		t.Fatalf("%+v", partial)
	}
	if !slices.Equal(partial.Retry, []int{3, 4}) {
		t.Errorf("to be sent again: %v", partial.Retry)
	}
}

func TestSplunk_ARefusalThatNamesNoEventOfTheBatchRefusesTheBatch(t *testing.T) {
	for _, answer := range []string{`{"text":"Invalid token"}`, `{"invalid-event-number":5}`, `{"invalid-event-number":-1}`, `{`, ``} {
		err := answering(t, splunkOf, http.StatusBadRequest, answer).send(t.Context(), numbered(5))
		if _, ok := errors.AsType[*Rejected](err); !ok {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// exportAnswer is an ExportLogsServiceResponse with a partial success.
func exportAnswer(rejected uint64, message string) []byte {
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), rejected)
	inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), message)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
}

func TestOTLP_APartialSuccessIsARefusalThatIsBisected(t *testing.T) {
	out := answering(t, otlpOf, http.StatusOK, string(exportAnswer(1, "no such tenant")))
	if rejected, ok := errors.AsType[*Rejected](out.send(t.Context(), numbered(3))); !ok || rejected.Error() != "send batch: rejected: 1 of 3 records refused: no such tenant" {
		t.Errorf("%v", rejected)
	}
}

func TestOTLP_AWarningWithoutRefusedRecordsIsASuccess(t *testing.T) {
	if err := answering(t, otlpOf, http.StatusOK, string(exportAnswer(0, "use /v2"))).send(t.Context(), numbered(3)); err != nil {
		t.Error(err)
	}
}

func TestElasticsearch_AnAnswerThatIsNoneOfItsOwnIsNotAcknowledged(t *testing.T) {
	for _, answer := range []string{``, `{}`, `null`, `[]`, `"ok"`, `<html>`, `{"items":[]}`, `{"status":"ok"}`} {
		err := bulkError([]byte(answer), 3)
		if retry, ok := errors.AsType[*Retryable](err); !ok || retry.Reason != "answer" {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestElasticsearch_AnIndexThatIsNotThereRefusesNoRecord(t *testing.T) {
	for _, item := range []string{
		`"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [app]"}`,
		`"status":400,"error":{"type":"index_closed_exception","reason":"closed"}`,
		`"status":400,"error":{"type":"invalid_index_name_exception","reason":"must be lowercase"}`,
	} {
		err := bulkError([]byte(`{"errors":true,"items":[{"create":{`+item+`}}]}`), 1)
		if partial, ok := errors.AsType[*Partial](err); !ok || !slices.Equal(partial.Retry, []int{0}) || len(partial.Rejected) != 0 {
			t.Errorf("%s: %+v", item, err)
		}
	}
}

func TestElasticsearch_ANameThatNoIndexHasIsAMistakeOfTheConfiguration(t *testing.T) {
	for index, fine := range map[string]bool{"app-%Y.%m.%d": true, "": true, ".ds-x": true, "<app-{now/d}>": true, "App": false, "a b": false, "app-%M": false, "-a": false, "a/b": false} {
		var p conf.Problems
		c := Config{Elasticsearch: &ElasticsearchConfig{HTTPConfig: HTTPConfig{URL: "http://es:9200"}, Index: index}}
		if c.Validate(&p, "o"); (len(p.List) == 0) != fine {
			t.Errorf("index %q has the problems %v", index, p.List)
		}
	}
}

func TestElasticsearch_TheReasonOfARefusalHoldsNothingOfTheRecord(t *testing.T) {
	err := bulkError([]byte(`{"errors":true,"items":[{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse field [n] of type [long] in document with id 'x'. Preview of field's value: 'hunter2'"}}}]}`), 1)
	partial, ok := errors.AsType[*Partial](err)
	if !ok || len(partial.Rejected) != 1 || strings.Contains(partial.Rejected[0].Reason+err.Error(), "hunter2") || !strings.Contains(partial.Rejected[0].Reason, "field [n] of type [long]") {
		t.Errorf("%+v", err)
	}
}

func TestElasticsearch_AnItemThatSaysNothingIsNotAcknowledged(t *testing.T) {
	err := bulkError([]byte(`{"errors":true,"items":[{},{"create":{"status":201}},{"create":{}}]}`), 3)
	if partial, ok := errors.AsType[*Partial](err); !ok || !slices.Equal(partial.Retry, []int{0, 2}) {
		t.Errorf("%v", err)
	}
}

func FuzzPartialSuccess(f *testing.F) {
	f.Add(exportAnswer(300, "some"))
	f.Add([]byte{10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, message := partialSuccess(answer); len(message) > len(answer) {
			t.Error("longer than the answer")
		}
	})
}

func FuzzBulkAnswer(f *testing.F) {
	f.Add([]byte(`{"errors":true,"items":[{"create":{"status":429}},{"create":{"status":400,"error":{"type":"a","reason":"b"}}}]}`), 2)
	f.Add([]byte(`{"errors":false}`), 1)
	f.Add([]byte(`{"errors":true,"items":[{}]}`), 1)
	f.Fuzz(func(t *testing.T, answer []byte, records int) {
		partial, ok := errors.AsType[*Partial](bulkError(answer, records))
		if !ok {
			return
		}
		seen := map[int]bool{}
		for _, item := range partial.Rejected {
			partial.Retry = append(partial.Retry, item.Index)
		}
		for _, i := range partial.Retry {
			if i < 0 || i >= records || seen[i] {
				t.Fatalf("record %d of %d, once more: %v", i, records, seen[i])
			}
			seen[i] = true
		}
	})
}

func FuzzFromURL(f *testing.F) {
	for _, raw := range []string{"stdout:", "file:///a?rotate=1MiB", "loki+http://l:3100?labels=a,b", "http+jsonl://h?compression=zstd", "syslog+tls://l?facility=3", "kafka://b:9092/t"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := FromURL(raw)
		if err == nil && c.Name() == "" {
			t.Errorf("%q is an output without a name: %+v", raw, c)
		}
	})
}

func TestHTTP_AnErrorSaysNothingOfTheQuery(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	err := open(t, Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: s.URL + "?key=hunter2"}}}).send(t.Context(), numbered(1))
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

func TestHTTP_ARedirectIsNotFollowedAndSaysWhereItGoes(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("https://logs.example/in?key=hunter2", http.StatusMovedPermanently))
	defer s.Close()
	err := open(t, Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: s.URL}}}).send(t.Context(), numbered(1))
	if retry, ok := errors.AsType[*Retryable](err); !ok || !strings.Contains(err.Error(), "301 Moved Permanently to https://logs.example/in (redirects are not followed") {
		t.Errorf("%+v", retry)
	}
}

func TestHTTP_ACertificateThatIsNotTrustedNamesTheSettings(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	err := open(t, Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: s.URL}}}).send(t.Context(), numbered(1))
	if retry, ok := errors.AsType[*Retryable](err); !ok || retry.Reason != "network" || !strings.Contains(err.Error(), "tls.ca names whom to trust") {
		t.Errorf("%v", err)
	}
}
