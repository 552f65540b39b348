package whatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"

	"omniservice/omni"
)

// What Meta sends is not always of the type that its pages say: ids and times are texts or numbers, flags are missing,
// parts are null. Each type here takes what it can and is empty otherwise, so that one strange field costs nothing else.

// text is a JSON string, or a number as it is written: an id never becomes a float.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch {
	case len(b) == 0:
	case b[0] == '"':
		var s string
		if json.Unmarshal(b, &s) == nil {
			*t = text(s)
		}
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		*t = text(b)
	}
	return nil
}

// flag is true, or the text or number that stands for it.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "true", "1":
		*f = true
	default:
		*f = false
	}
	return nil
}

// stamp is a moment: seconds or, from 10^12, milliseconds, as number or as text.
type stamp omni.Millis

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(b []byte) error {
	*s = 0
	whole, _, _ := strings.Cut(strings.Trim(string(b), `"`), ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil && n > 0 && n < 1e15 {
		if n < 1e12 {
			n *= 1000
		}
		*s = stamp(n)
	}
	return nil
}

// lenient decodes JSON. What is of another type than ours is left out; what is no JSON is an error.
func lenient(b []byte, to any) error {
	err := json.Unmarshal(b, to)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = nil // it decoded all else
	}
	return err
}

// List is a JSON array whose elements are decoded one by one, so that a body of nothing but brackets takes no room. What
// is no array is empty.
type List[T any] struct{ raw json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (l *List[T]) UnmarshalJSON(b []byte) error {
	l.raw = nil
	if len(b) > 2 && b[0] == '[' {
		l.raw = append(l.raw, b...)
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l.raw == nil {
		return []byte("[]"), nil
	}
	return l.raw, nil
}

// Empty reports whether the array has no elements.
func (l List[T]) Empty() bool {
	for range elements(l.raw) {
		return false
	}
	return true
}

// All gives the elements in order.
func (l List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for b := range elements(l.raw) {
			var v T
			_ = lenient(b, &v) // it is JSON: it was part of some
			if !yield(v) {
				return
			}
		}
	}
}

// First is the first element, or the zero value.
func (l List[T]) First() (first T) {
	for v := range l.All() {
		return v
	}
	return first
}

// elements gives the elements of an array that is known to be JSON, without decoding them.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(array) < 2 {
			return
		}
		inside := array[1 : len(array)-1]
		start, depth, quoted := 0, 0, false
		for i := 0; i < len(inside); i++ {
			switch c := inside[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				depth--
			case c == ',' && depth == 0:
				if !yield(inside[start:i]) {
					return
				}
				start = i + 1
			}
		}
		if last := bytes.TrimSpace(inside[start:]); len(last) > 0 {
			yield(last)
		}
	}
}
