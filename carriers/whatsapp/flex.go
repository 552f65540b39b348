package whatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"omniservice/carriers"
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
		if inside := b[1 : len(b)-1]; bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
			*t = text(inside) // most are: this saves a decoder
			return nil
		}
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

// reader is a part that holds other parts. It reads where they are and copies nothing: raw is JSON, and is not changed as
// long as the part is used.
type reader interface{ read(raw []byte) }

// listOf is a list that shares the memory of its array.
func listOf[T any](array []byte) (l List[T]) {
	if len(array) > 2 && array[0] == '[' {
		l.raw = array
	}
	return l
}

// textOf is the text that a value is.
func textOf(value []byte) (t text) {
	_ = t.UnmarshalJSON(value) // which never fails
	return t
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

// Len counts the elements.
func (l List[T]) Len() int {
	n := 0
	for range carriers.Elements(l.raw) {
		n++
	}
	return n
}

// All gives the elements in order.
func (l List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for b := range carriers.Elements(l.raw) {
			var v T
			if r, ok := any(&v).(reader); ok {
				r.read(b)
			} else {
				_ = lenient(b, &v) // it is JSON: it was part of some
			}
			if !yield(v) {
				return
			}
		}
	}
}

// Some gives the first elements in order, at most so many.
func (l List[T]) Some(most int) iter.Seq[T] {
	return func(yield func(T) bool) {
		n := 0
		for v := range l.All() {
			if n++; n > most || !yield(v) {
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

// members gives the members of an object that is known to be JSON, without decoding them; of anything else there are none. Names with escapes are as they
// are written.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if !bytes.HasPrefix(object, []byte("{")) {
			return
		}
		for m := range carriers.Elements(object) {
			end := 1
			for end < len(m) && m[end] != '"' {
				if m[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(m) {
				return
			}
			value := bytes.TrimSpace(m[end+1:])
			if !yield(string(m[1:end]), bytes.TrimSpace(bytes.TrimPrefix(value, []byte(":")))) {
				return
			}
		}
	}
}
