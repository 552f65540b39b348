package twilio

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"omniservice/carriers"
)

// maxParams is the largest number of parameters that a webhook may have. Twilio sends some forty; without an end,
// a body of nothing but separators would need many times its size.
const maxParams = 1_000

// bodyHash is the query parameter that holds the hash of a body that is no form.
const bodyHash = "bodySHA256"

// param is one parameter, decoded.
type param struct{ name, value string }

type params []param

// get returns the first value of a name, "" if there is none.
func (p params) get(name string) string {
	v, _ := p.find(name)
	return v
}

func (p params) find(name string) (value string, ok bool) {
	for i := range p {
		if p[i].name == name {
			return p[i].value, true
		}
	}
	return "", false
}

// layout tells where the parameters of a webhook are. What is signed follows from it, so Verify and Parse both
// go by it, and by nothing that a forger can change without changing what is signed.
type layout int

const (
	inForm  layout = iota // the body is a form; its parameters are signed one by one
	inQuery               // GET; they are part of the URL
	inBody                // the body is signed as a whole, by its hash in the URL
)

func layoutOf(r carriers.WebhookRequest) layout {
	if _, ok := queryParam(r.URL, bodyHash); ok {
		return inBody
	}
	if r.Method == http.MethodGet {
		return inQuery
	}
	return inForm
}

// readParams returns the parameters of a webhook in the order sent. Errors are *carriers.WebhookError.
func readParams(r carriers.WebhookRequest) (params, error) {
	switch layoutOf(r) {
	case inQuery:
		return decodeForm(query(r.URL))
	case inBody:
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
			return decodeJSON(r.Body)
		}
	case inForm:
	}
	return decodeForm(string(r.Body))
}

// query is the raw query of a URL.
func query(address string) string {
	address, _, _ = strings.Cut(address, "#")
	_, q, _ := strings.Cut(address, "?")
	return q
}

func queryParam(address, name string) (value string, ok bool) {
	p, err := decodeForm(query(address))
	if err != nil {
		return "", false
	}
	return p.find(name)
}

// decodeForm reads application/x-www-form-urlencoded text as the URL standard (§5.1) says: parameters end at &
// alone, + is a space, an escape that is none stands for itself. Bytes that are not UTF-8 stay as they are, since
// the signature covers them. It fails only where there are too many parameters.
func decodeForm(s string) (params, error) {
	n := min(strings.Count(s, "&")+1, maxParams)
	p := make(params, 0, n)
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
		p = append(p, param{unescape(name), unescape(value)})
	}
	return p, nil
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 < len(s) {
				high, low := unhex(s[i+1]), unhex(s[i+2])
				if high >= 0 && low >= 0 {
					out = append(out, byte(high<<4|low))
					i += 2
					continue
				}
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// decodeJSON reads a JSON object. Its members are the parameters; numbers and truth values become text, and members that
// are anything else are left out.
func decodeJSON(body []byte) (params, error) {
	if err := carriers.CheckNesting(body); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	t, err := d.Token()
	if err != nil {
		return nil, carriers.MalformedJSON(err)
	}
	if t != json.Delim('{') {
		return nil, carriers.Malformed(errors.New("not a JSON object"))
	}
	var p params
	for d.More() {
		if len(p) == maxParams {
			return nil, carriers.Malformed(fmt.Errorf("more than %d parameters", maxParams))
		}
		name, err := d.Token()
		if err != nil {
			return nil, carriers.MalformedJSON(err)
		}
		key, ok := name.(string)
		if !ok {
			return nil, carriers.Malformed(errors.New("a member without a name"))
		}
		value, err := readValue(d)
		if err != nil {
			return nil, carriers.MalformedJSON(err)
		}
		p = append(p, param{key, value})
	}
	if _, err := d.Token(); err != nil {
		return nil, carriers.MalformedJSON(err)
	}
	if d.More() {
		return nil, carriers.Malformed(errors.New("more than one JSON value"))
	}
	return p, nil
}

// readValue reads one value and returns it if it is a text, a number or a truth value. What is inside another is read past at once:
// token by token it would cost many times its size.
func readValue(d *json.Decoder) (string, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return "", err
	}
	switch c := raw[0]; {
	case c == '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	case c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f':
		return string(raw), nil
	default:
		return "", nil
	}
}

// signedText is what the parameters of a form add to the signed URL: name and value of each, by name in byte
// order. A name that is repeated adds each different value once, in byte order, as Twilio's Node library does.
func (p params) signedText() []byte {
	sorted := slices.Clone(p)
	slices.SortFunc(sorted, func(a, b param) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	sorted = slices.Compact(sorted)
	n := 0
	for i := range sorted {
		n += len(sorted[i].name) + len(sorted[i].value)
	}
	text := make([]byte, 0, n)
	for i := range sorted {
		text = append(append(text, sorted[i].name...), sorted[i].value...)
	}
	return text
}
