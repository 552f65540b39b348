package omni

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the longest text of a message that is stored, in bytes of UTF-8.
const MaxText = 64 << 10

// maxName is the longest name of anything, in characters.
const maxName = 200

const nameRule = "must be 1 to 200 characters without control characters"

func validName(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName &&
		strings.IndexFunc(s, unicode.IsControl) < 0
}

// validText reports whether s can be kept as text: it may be empty.
func validText(s string) bool {
	return len(s) <= MaxText && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

func validEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && len(s) <= 254 && s == strings.ToLower(s) && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// CleanText makes text storable: what is not UTF-8 becomes U+FFFD, NUL is removed, and what is over MaxText is
// cut at a character. Nothing else is changed; escaping is the business of whoever shows it.
func CleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		r, n := utf8.DecodeLastRuneInString(s)
		if r != utf8.RuneError || n > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// CleanName makes a name that came from outside showable in one line: CleanText, without control and
// bidirectional formatting characters, trimmed, at most 200 characters.
func CleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
			return -1
		}
		return r
	}, CleanText(s))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxName {
		s = strings.TrimSpace(string([]rune(s)[:maxName]))
	}
	return s
}
