package messagebird

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"omniservice/carriers"
)

// maxParams is the largest number of parameters that a webhook may have: the carrier sends some twenty. Without an end, a
// body of nothing but separators would need many times its size.
const maxParams = 1_000

// maxFiles bounds the files that are looked for in one message. The carrier's own limit is 10.
const maxFiles = 32

// param is one parameter, decoded; its name in lower case, since names come in any.
type param struct{ name, value string }

type params []param

// last returns the last value of a name, "" if there is none.
func (p params) last(name string) string {
	v, _ := p.find(name)
	return v
}

func (p params) find(name string) (value string, ok bool) {
	name = strings.ToLower(name)
	for _, one := range slices.Backward(p) {
		if one.name == name {
			return one.value, true
		}
	}
	return "", false
}

// has reports whether there is a parameter of one of the names.
func (p params) has(names ...string) bool {
	for _, name := range names {
		if _, ok := p.find(name); ok {
			return true
		}
	}
	return false
}

// all returns the values of a name in the order sent. Some programs write [] or [0] behind a repeated name.
func (p params) all(name string) []string {
	name = strings.ToLower(name)
	var values []string
	for i := range p {
		plain, _, _ := strings.Cut(p[i].name, "[")
		if plain == name && len(values) < maxFiles {
			values = append(values, p[i].value)
		}
	}
	return values
}

// readParams returns the parameters of a webhook that is no JSON. Errors are *carriers.WebhookError.
func readParams(r carriers.WebhookRequest) (params, error) {
	if r.Method == http.MethodGet {
		return decodeForm(query(r.URL))
	}
	return decodeForm(string(r.Body))
}

// decodeForm reads application/x-www-form-urlencoded text: parameters end at & alone, + is a space, what is no escape
// stands for itself.
func decodeForm(s string) (params, error) {
	p := make(params, 0, min(strings.Count(s, "&")+1, maxParams))
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		if pair == "" {
			continue
		}
		if len(p) == maxParams {
			return nil, carriers.Malformed(fmt.Errorf("more than %d parameters", maxParams))
		}
		name, value, _ := strings.Cut(pair, "=")
		p = append(p, param{strings.ToLower(unescape(name)), unescape(value)})
	}
	return p, nil
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// isJSON reports whether a body is JSON. A form never begins with a brace: it would be escaped.
func isJSON(r carriers.WebhookRequest) bool {
	if r.Method == http.MethodGet {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	return kind == "application/json" || strings.HasSuffix(kind, "+json") ||
		bytes.HasPrefix(bytes.TrimLeft(r.Body, blanks), []byte("{"))
}

// decodeJSON reads the members of a JSON object, whose JSON is known to be right: text and numbers, and of lists those
// in them. encoding/json's own way from member to member costs twenty times the body.
func decodeJSON(body []byte) (params, error) {
	body = bytes.TrimLeft(body, blanks)
	if len(body) == 0 || body[0] != '{' {
		return nil, carriers.Malformed(errors.New("not a JSON object"))
	}
	var p params
	for rest := bytes.TrimLeft(body[1:], blanks+","); len(rest) > 0 && rest[0] == '"'; rest = bytes.TrimLeft(rest, blanks+",") {
		if len(p) >= maxParams {
			return nil, carriers.Malformed(fmt.Errorf("more than %d parameters", maxParams))
		}
		var name word
		var values words
		n := valueLength(rest)
		if err := name.UnmarshalJSON(rest[:n]); err != nil {
			return nil, carriers.MalformedJSON(err)
		}
		rest = bytes.TrimLeft(rest[n:], blanks+":")
		n = valueLength(rest)
		if n == 0 {
			return nil, carriers.Malformed(errors.New("a member without a value"))
		}
		if err := values.UnmarshalJSON(rest[:n]); err != nil {
			return nil, carriers.MalformedJSON(err)
		}
		rest = rest[n:]
		for _, v := range values {
			p = append(p, param{strings.ToLower(string(name)), string(v)})
		}
	}
	return p, nil
}

// blanks are JSON's.
const blanks = " \t\r\n"

// valueLength is how many bytes of valid JSON its first value takes.
func valueLength(s []byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth == 0 && i+1 < len(s) && bytes.IndexByte([]byte(blanks+",}]"), s[i+1]) < 0 {
				continue // a number or a word
			}
		}
		if depth == 0 {
			return min(i+1, len(s))
		}
	}
	return len(s)
}

// word is a JSON text or number, as text: ids and numbers come as either. What is neither is empty.
type word string

// UnmarshalJSON implements json.Unmarshaler.
func (w *word) UnmarshalJSON(raw []byte) error {
	*w = ""
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw):
		*w = word(raw[1 : len(raw)-1])
	case c == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		*w = word(s)
		return err
	case c == '-' || '0' <= c && c <= '9':
		*w = word(raw)
	}
	return nil
}

// words is one word, or those of a list.
type words []word

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(raw []byte) error {
	if raw[0] == '[' {
		return (*some[word])(w).UnmarshalJSON(raw)
	}
	var one word
	err := one.UnmarshalJSON(raw)
	*w = words{one}
	return err
}

// some are the first elements of a JSON list: of more than maxFiles nothing is kept. What is no list is empty.
type some[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (s *some[T]) UnmarshalJSON(raw []byte) error {
	*s = nil
	if raw[0] != '[' {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() && len(*s) < maxFiles {
		var one T
		if err := d.Decode(&one); err != nil {
			return err
		}
		*s = append(*s, one)
	}
	return nil
}
