package carriers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"omniservice/omni"
)

// Limits of what a webhook may hold (rule W8).
const (
	MaxNesting = 32    // objects and arrays within each other
	MaxEvents  = 1_000 // in one body
)

// maxAddress and maxCarrierID are the longest that are stored, in bytes.
const (
	maxAddress   = 255
	maxCarrierID = 255
	maxWord      = 64
)

// CheckNesting refuses a JSON body that is nested deeper than MaxNesting, before anything is decoded from it.
// The error is a *WebhookError.
func CheckNesting(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxNesting {
				return Malformed(fmt.Errorf("nested deeper than %d", MaxNesting))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// MalformedJSON refuses a body for an error of encoding/json, whose own words may repeat parts of the body: it
// tells the place and nothing else.
func MalformedJSON(err error) *WebhookError {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		err = fmt.Errorf("not JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		err = fmt.Errorf("wrong type at byte %d", kind.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the JSON ends too early")
	default:
		err = errors.New("not the JSON that was expected")
	}
	return Malformed(err)
}

// ID checks a carrier's message id. What is wrong with it is a *WebhookError that names the field.
func ID(field, id string) (string, error) {
	switch {
	case strings.TrimSpace(id) == "":
		return "", Missing(field)
	case len(id) > maxCarrierID || !storable(id):
		return "", Malformed(fmt.Errorf("%s is not an id", field))
	}
	return id, nil
}

// Address checks the address of one end and writes phone numbers as E.164: ten digits are a North American number
// and get +1, eleven that begin with 1 get +. Short codes, names and ids stay as they are. An empty address is
// empty; what is wrong with another is a *WebhookError that names the field.
func Address(field, address string) (string, error) {
	address = strings.TrimSpace(address)
	if len(address) > maxAddress || !storable(address) {
		return "", Malformed(fmt.Errorf("%s is not an address", field))
	}
	if strings.Trim(address, "0123456789") == "" {
		switch {
		case len(address) == 10:
			return "+1" + address, nil
		case len(address) == 11 && address[0] == '1':
			return "+" + address, nil
		}
	}
	return address, nil
}

func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// IsUserID reports whether an address is WhatsApp's id of a person whose number it does not tell: BR.1502576394655843, or
// BR.ENT.… for all businesses of one owner.
func IsUserID(s string) bool {
	country, id, ok := strings.Cut(s, ".")
	id = strings.TrimPrefix(id, "ENT.")
	return ok && len(country) == 2 && country[0] >= 'A' && country[0] <= 'Z' && country[1] >= 'A' && country[1] <= 'Z' &&
		id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// Ignore names a part of a webhook that changes nothing. Of the carrier's word 64 characters are kept.
func Ignore(name, word string) Ignored {
	word = omni.CleanName(word)
	if utf8.RuneCountInString(word) > maxWord {
		word = string([]rune(word)[:maxWord])
	}
	return Ignored{Name: name, Value: word}
}

// Presentation reports whether a file of an MMS only says how the others are laid out (SMIL): it is nothing to show.
func Presentation(address, contentType string) bool {
	address, _, _ = strings.Cut(address, "?")
	address, _, _ = strings.Cut(address, "#")
	return strings.ToLower(path.Ext(address)) == ".smil" ||
		strings.HasPrefix(strings.ToLower(contentType), "application/smil")
}
