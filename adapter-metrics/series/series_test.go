package series

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

func label(name, value string) sample.Label { return sample.Label{Name: name, Value: []byte(value)} }

func family(t *testing.T, s *Store, d Desc) *Family {
	t.Helper()
	f, err := s.Family(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFamily_RefusesTheLaterOfTwoThatShareASampleName(t *testing.T) {
	for _, c := range []struct{ first, second Desc }{
		{Desc{Name: "stat", Type: Histogram}, Desc{Name: "stat_count", Type: Gauge}},
		{Desc{Name: "stat_count", Type: Gauge}, Desc{Name: "stat", Type: Summary}},
		{Desc{Name: "foo", Type: Counter}, Desc{Name: "foo_created", Type: Gauge}},
		{Desc{Name: "foo", Type: Counter}, Desc{Name: "foo", Type: Gauge}},
		{Desc{Name: "foo_info", Type: Gauge}, Desc{Name: "foo", Type: Info}},
		{Desc{Name: "a.b", Type: Gauge}, Desc{Name: "a_b", Type: Gauge}},
		{Desc{Name: "foo", Type: Gauge, Unit: "seconds"}, Desc{Name: "foo", Type: Gauge}},
	} {
		var told []error
		s := New(Options{Refused: func(err error) { told = append(told, err) }})
		f := family(t, s, c.first)
		if _, err := f.Series(s.Source("a")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := s.Family(c.second); !isConflict(err) {
				t.Errorf("%s after %s: %v, want a conflict", c.second.Name, c.first.Name, err)
			}
		}
		if len(told) != 1 {
			t.Errorf("%s: named %d times, want once", c.second.Name, len(told))
		}
		if got := len(s.Families()); got != 1 {
			t.Errorf("%d families are served, want 1", got)
		}
	}
}

func isConflict(err error) bool {
	_, ok := errors.AsType[*ConflictError](err)
	return ok
}

func TestFamily_TwoHandlesMadeBeforeTheFirstSeriesCannotBothEnter(t *testing.T) {
	s := New(Options{})
	gauge := family(t, s, Desc{Name: "x_total", Type: Gauge})
	count := family(t, s, Desc{Name: "x", Type: Counter})
	if _, err := gauge.Series(s.Source("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := count.Series(s.Source("a"), label("a", "b")); !isConflict(err) {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestFamily_RefusesTheHelpersOwnPrefix(t *testing.T) {
	s := New(Options{ReservedPrefix: "adapter_"})
	if _, err := s.Family(Desc{Name: "adapter_source_up", Type: Gauge}); !isConflict(err) {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestSeries_IsTheSameForLabelsInAnyOrder(t *testing.T) {
	s := New(Options{})
	f := family(t, s, Desc{Name: "x", Type: Gauge})
	a, _ := f.Series(s.Source("a"), label("b", "2"), label("a", "1"), label("empty", ""), label("a", "later"))
	b, _ := f.Series(s.Source("a"), label("a", "1"), label("b", "2"))
	if a != b || a.Text() != `x{a="1",b="2"} ` || a.Labels() != `a="1",b="2"` {
		t.Fatalf("got %q and %q", a.Text(), b.Text())
	}
}

func TestSeries_LabelsComeBackAsTheyWere(t *testing.T) {
	s := New(Options{})
	for _, name := range []string{"plain", "with.dots"} {
		f := family(t, s, Desc{Name: name, Type: Gauge})
		want := map[string]string{"a": "back\\slash\"quote\nline\\n", "my.label": "größe,}{=", "z": "\xff"}
		var labels []sample.Label
		for k, v := range want {
			labels = append(labels, label(k, v))
		}
		want["z"] = "\uFFFD"
		x, err := f.Series(s.Source("a"), labels...)
		if err != nil {
			t.Fatal(err)
		}
		EachLabel(x.Labels(), func(n, v string) {
			if want[n] != v {
				t.Errorf("%s: %q, want %q", n, v, want[n])
			}
			delete(want, n)
		})
		if len(want) > 0 || f.Plain() {
			t.Errorf("lost %v; plain %v", want, f.Plain())
		}
	}
}

func TestSeries_ReservedLabelsGetAPrefix(t *testing.T) {
	s := New(Options{})
	h := family(t, s, Desc{Name: "h", Type: Histogram})
	x, _ := h.Series(s.Source("a"), label("le", "1"), label("__name__", "evil"))
	if x.Labels() != `exported_le="1",exported_name__="evil"` {
		t.Fatalf("got %s", x.Labels())
	}
}

func TestSeries_PastALimitCountersFoldIntoOneAndGaugesAreRefused(t *testing.T) {
	s := New(Options{Limits: Limits{PerSource: 3}})
	src := s.Source("a")
	c := family(t, s, Desc{Name: "c", Type: Counter})
	g := family(t, s, Desc{Name: "g", Type: Gauge})
	for i := range 10 {
		x, err := c.Series(src, label("id", string(rune('a'+i))))
		if err != nil || !x.Add(1) {
			t.Fatal(err)
		}
		if x.Other() != (i >= 3) {
			t.Errorf("series %d: other is %v", i, x.Other())
		}
	}
	if _, err := g.Series(src); err == nil {
		t.Error("a gauge past the limit was taken")
	}
	list := c.List()
	if len(list) != 4 || list[3].Text() != `c_total{other="true"} ` || list[3].Value() != 7 {
		t.Fatalf("got %d series, the last %s%v", len(list), list[3].Text(), list[3].Value())
	}
	if got := src.limited["per_source"]; got != 8 {
		t.Errorf("counted %d limited samples, want 8", got)
	}
}

func TestCounter_TakesNeitherNegativeNorNonFiniteValues(t *testing.T) {
	s := New(Options{})
	c, _ := family(t, s, Desc{Name: "c", Type: Counter}).Series(s.Source("a"))
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if c.Add(v) || c.Set(v) {
			t.Errorf("took %v", v)
		}
	}
	if !c.Add(math.MaxFloat64) || c.Add(math.MaxFloat64) || !c.Add(0.5) {
		t.Error("a sum that is not finite was taken, or a good one was not")
	}
}

func TestPull_WhatARoundDoesNotNameVanishes(t *testing.T) {
	s := New(Options{})
	src, other := s.Source("a"), s.Source("b")
	f := family(t, s, Desc{Name: "x", Type: Gauge})
	pull := func(ids ...string) {
		p := src.Begin()
		for _, id := range ids {
			x, err := p.Series(f, label("id", id))
			if err != nil {
				t.Fatal(err)
			}
			x.Set(1)
		}
		p.Commit()
	}
	pull("1", "2")
	if _, err := f.Series(other, label("id", "1")); !isConflict(err) {
		t.Errorf("another source took a series that has an owner: %v", err)
	}
	pull("2", "3")
	if l := f.List(); len(l) != 2 || l[0].Text() != `x{id="2"} ` || l[1].Text() != `x{id="3"} ` {
		t.Fatalf("got %d series", len(l))
	}
	pull()
	if s.Len() != 0 || src.Len() != 0 || len(s.Families()) != 0 || s.Has("x") {
		t.Fatal("an empty round left something")
	}
	pull("1") // the family handle is still good
	if len(s.Families()) != 1 {
		t.Fatal("the family did not come back")
	}
}

func TestSweep_RemovesIdleGaugesButNoCounterUnlessALimitIsReached(t *testing.T) {
	s := New(Options{Limits: Limits{PerSource: 3, Idle: time.Minute}})
	src := s.Source("a")
	g, _ := family(t, s, Desc{Name: "g", Type: Gauge}).Series(src)
	c, _ := family(t, s, Desc{Name: "c", Type: Counter}).Series(src)
	now := time.Unix(1000, 0)
	s.Sweep(now)
	s.Sweep(now.Add(59 * time.Second))
	if g.Removed() {
		t.Fatal("removed too early")
	}
	s.Sweep(now.Add(60 * time.Second))
	if !g.Removed() || c.Removed() || g.Set(1) {
		t.Fatalf("gauge removed %v, counter removed %v", g.Removed(), c.Removed())
	}
	f := family(t, s, Desc{Name: "fill", Type: Counter})
	f.Series(src, label("a", "1"))
	f.Series(src, label("a", "2"))
	s.Sweep(now.Add(61 * time.Second))
	if !c.Removed() {
		t.Fatal("an idle counter stayed although the source had no room")
	}
}

func TestSweep_KeepsASeriesThatGotASampleInBetween(t *testing.T) {
	s := New(Options{Limits: Limits{Idle: time.Minute}})
	g, _ := family(t, s, Desc{Name: "g", Type: Gauge}).Series(s.Source("a"))
	for i := range int64(10) {
		s.Sweep(time.Unix(i*50, 0))
		if !g.Set(float64(i)) {
			t.Fatal("removed")
		}
	}
}

func TestSet_CountsDistinctMembersUpToItsBound(t *testing.T) {
	s := New(Options{Limits: Limits{SetMembers: 3}})
	src := s.Source("a")
	x, _ := family(t, s, Desc{Name: "users", Type: Gauge, Distinct: true}).Series(src)
	for _, m := range []uint64{1, 2, 2, 1, 3} {
		if !x.AddMember(m) {
			t.Fatal("refused below the bound")
		}
	}
	if x.AddMember(4) || x.Value() != 3 || src.limited["set_members"] != 1 {
		t.Fatalf("value %v, limited %v", x.Value(), src.limited)
	}
	s.Sweep(time.Unix(0, 0).Add(time.Hour))
	s.Sweep(time.Unix(0, 0).Add(time.Hour + setWindow))
	if !x.AddMember(4) || x.Value() != 3 {
		t.Fatalf("the window before no longer counts: %v", x.Value())
	}
}
