package parse

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"
)

const layoutCombined = "02/Jan/2006:15:04:05 -0700"

// clock reads times.
type clock struct {
	layouts []string // in the order in which they are tried
	unit    int64    // nanoseconds in one unit of a number, 0: told by its size
	zone    *time.Location
}

// newClock makes a clock for a configured layout, or for the usual ones.
func newClock(layout string, zone *time.Location) *clock {
	c := &clock{zone: zone}
	switch layout {
	case "":
		c.layouts = usualLayouts()
	case "rfc3339":
		c.layouts = []string{time.RFC3339Nano}
	case "rfc1123":
		c.layouts = []string{time.RFC1123, time.RFC1123Z}
	case "ansic":
		c.layouts = []string{time.ANSIC}
	case "combined":
		c.layouts = []string{layoutCombined}
	case "unix":
		c.unit = 1e9
	case "unix_ms":
		c.unit = 1e6
	case "unix_us":
		c.unit = 1e3
	case "unix_ns":
		c.unit = 1
	default:
		c.layouts = []string{strftime(layout)}
	}
	return c
}

// namesTime says that something of a time is in a configured layout: YYYY-MM-DD is text to Go.
func namesTime(layout string) bool {
	for _, l := range newClock(layout, time.UTC).layouts {
		if time.Unix(0, 0).UTC().Format(l) == l {
			return false
		}
	}
	return true
}

func usualLayouts() []string {
	return []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999 -0700",
		"2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700", "2006/01/02 15:04:05.999999999",
		layoutCombined, time.RFC1123, time.RFC1123Z, time.ANSIC, time.UnixDate,
	}
}

// unknownDirective is the first one of a layout that strftime leaves as it is, "" for none.
func unknownDirective(layout string) string {
	rest := strftime(strings.ReplaceAll(layout, "%%", ""))
	if i := strings.IndexByte(rest, '%'); i >= 0 {
		return rest[i:min(i+2, len(rest))]
	}
	return ""
}

// strftime turns %Y-%m-%d %H:%M:%S into a Go layout; text without % is one already.
func strftime(layout string) string {
	return strings.NewReplacer("%Y", "2006", "%y", "06", "%m", "01", "%d", "02", "%e", "_2", "%H", "15", "%I", "03", "%p", "PM",
		"%M", "04", "%S", "05", "%L", "000", "%f", "000000", "%N", "000000000", "%b", "Jan", "%B", "January", "%a", "Mon",
		"%A", "Monday", "%z", "-0700", "%Z", "MST", "%T", "15:04:05", "%F", "2006-01-02", "%%", "%").Replace(layout)
}

// parse reads a time as Unix nanoseconds. near is when the record was read, for layouts without a year.
func (c *clock) parse(text []byte, near int64) (nano int64, ok bool) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	if len(c.layouts) == 0 || bytes.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) < 0 {
		if nano, ok := c.number(text); ok {
			return nano, true
		}
	}
	for _, layout := range c.layouts {
		if !strings.Contains(layout, "06") {
			if nano, ok := parseYearless(text, layout, near, c.zone); ok {
				return nano, true
			}
		} else if nano, ok := parseLayout(text, layout, c.zone); ok {
			return nano, true
		}
	}
	if utc, ok := withoutZone(text); ok {
		universal := clock{layouts: c.layouts, zone: time.UTC}
		return universal.parse(utc, near)
	}
	return 0, false
}

// withoutZone takes UTC or GMT off the end of a time, as PostgreSQL writes it. Other abbreviations may mean anything.
func withoutZone(text []byte) ([]byte, bool) {
	for _, name := range []string{" UTC", " GMT"} {
		if rest, ok := bytes.CutSuffix(text, []byte(name)); ok {
			return rest, true
		}
	}
	return nil, false
}

// number reads a count of seconds, or of what its size says, since 1970. Digits behind a point are kept to the nanosecond.
func (c *clock) number(text []byte) (int64, bool) {
	whole, fraction, _ := strings.Cut(string(text), ".")
	v, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || v < 0 {
		return 0, false
	}
	unit := c.unit
	if unit == 0 {
		unit = unitOf(v)
	}
	if unit == 0 || v > math.MaxInt64/unit {
		return 0, false
	}
	nano := v * unit
	if fraction != "" {
		part, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
		if err != nil {
			return 0, false
		}
		nano += int64(part) * unit / 1e9
	}
	return nano, true
}

// unitOf tells by its size whether v counts seconds, milli-, micro- or nanoseconds, for the years 1973 to 5138 and
// correspondingly less; 0 when it is too small for any.
func unitOf(v int64) int64 {
	switch {
	case v < 1e8:
		return 0
	case v < 1e11:
		return 1e9
	case v < 1e14:
		return 1e6
	case v < 1e17:
		return 1e3
	default:
		return 1
	}
}

// parseLayout reads a time. A comma before the fraction, as Java and Python write it, is fine: the time package takes both.
func parseLayout(text []byte, layout string, zone *time.Location) (int64, bool) {
	t, err := time.ParseInLocation(layout, string(text), zone)
	if err != nil || t.Year() < 1678 || t.Year() > 2261 { // what int64 nanoseconds hold
		return 0, false
	}
	if name, offset := t.Zone(); offset == 0 && strings.Contains(layout, "MST") && name != "UTC" && name != "GMT" && t.Location() != zone {
		return 0, false // an abbreviation that is not known here: package time takes it for UTC
	}
	return t.UnixNano(), true
}

// parseYearless reads a time without a year: the one within half a year of near.
func parseYearless(text []byte, layout string, near int64, zone *time.Location) (int64, bool) {
	now := time.Unix(0, near)
	best, distance, ok := int64(0), time.Duration(math.MaxInt64), false
	for year := now.Year() - 1; year <= now.Year()+1; year++ {
		t, err := time.ParseInLocation("2006 "+layout, strconv.Itoa(year)+" "+string(text), zone)
		if d := t.Sub(now).Abs(); err == nil && d < distance {
			best, distance, ok = t.UnixNano(), d, true
		}
	}
	return best, ok
}
