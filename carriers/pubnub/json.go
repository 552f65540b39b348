package pubnub

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"

	"omniservice/carriers"
)

// value is a part of a text that is known to be JSON. Walking over it copies nothing: a webhook of a megabyte that says little
// costs little. It does not begin or end with white space.
type value []byte

const blanks = " \t\r\n"

// readJSON refuses what is not JSON. How deep it is nested does not matter here: nothing below goes down into it by calling
// itself. A message that is nested too deeply is left out by itself, because a batch that is refused loses all of its messages.
func readJSON(body []byte) (value, error) {
	if !json.Valid(body) {
		var none json.RawMessage
		return nil, carriers.MalformedJSON(json.Unmarshal(body, &none))
	}
	return bytes.Trim(body, blanks), nil
}

// kind is the first byte of what v is: one of { [ " t f n, and 0 for a number. It is 0 for nothing at all.
func (v value) kind() byte {
	switch {
	case len(v) == 0:
		return 0
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return '0'
	default:
		return v[0]
	}
}

// text is the text of a string; ok is false if v is none.
func (v value) text() (s string, ok bool) {
	if v.kind() != '"' {
		return "", false
	}
	inside := v[1 : len(v)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return strings.ToValidUTF8(string(inside), "\uFFFD"), true
	}
	if json.Unmarshal(v, &s) != nil {
		return "", false
	}
	return s, true
}

// digits is a number as it is written, in quotes or without; "" if v is none.
func (v value) digits() string {
	s := strings.Trim(string(v), `"`)
	if s == "" || len(s) > maxTimetoken || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// compact is v as JSON without white space.
func (v value) compact() string {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return ""
	}
	return b.String()
}

// skip returns where the value ends that begins at i.
func (v value) skip(i int) int {
	switch v[i] {
	case '"':
		i++
		for end := -1; ; i += 2 { // over a backslash and what it escapes
			if end < i {
				end = i + bytes.IndexByte(v[i:], '"')
			}
			slash := bytes.IndexByte(v[i:end], '\\')
			if slash < 0 {
				return end + 1
			}
			i += slash
		}
	case '{', '[':
		depth := 0
		for {
			switch v[i] {
			case '"':
				i = v.skip(i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default:
		for i < len(v) && strings.IndexByte(",]}"+blanks, v[i]) < 0 {
			i++
		}
		return i
	}
}

// next returns the first place from i that is neither white space nor one of the given separators.
func (v value) next(i int, separators string) int {
	for i < len(v) && (strings.IndexByte(blanks, v[i]) >= 0 || strings.IndexByte(separators, v[i]) >= 0) {
		i++
	}
	return i
}

// elements are those of a list; of anything else there are none.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if v.kind() != '[' {
			return
		}
		for i := v.next(1, ""); v[i] != ']'; i = v.next(i, ",") {
			end := v.skip(i)
			if !yield(v[i:end]) {
				return
			}
			i = end
		}
	}
}

// members are those of an object, in order; of anything else there are none. A name is as it is written, without its quotes:
// those that are looked for need no escapes.
func (v value) members() iter.Seq2[[]byte, value] {
	return func(yield func([]byte, value) bool) {
		if v.kind() != '{' {
			return
		}
		for i := v.next(1, ""); v[i] != '}'; i = v.next(i, ",") {
			end := v.skip(i)
			name := v[i+1 : end-1]
			i = v.next(end, ":")
			end = v.skip(i)
			if !yield(name, v[i:end]) {
				return
			}
			i = end
		}
	}
}

// member is the last one of a name, nil if there is none.
func (v value) member(name string) value {
	var found value
	for n, m := range v.members() {
		if string(n) == name {
			found = m
		}
	}
	return found
}
