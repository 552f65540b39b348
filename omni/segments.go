package omni

import (
	"fmt"
	"unicode/utf8"
)

// Units that one SMS holds: alone, and as a part of a longer text, where 6 bytes go to the concatenation header.
// Source: 3GPP TS 23.040 §9.2.3.24.1 with 140 bytes of user data.
const (
	segmentSingleGSM7 = 160
	segmentPartGSM7   = 153
	segmentSingleUCS2 = 70
	segmentPartUCS2   = 67
)

// gsm7Basic are the characters of the GSM 7 bit default alphabet, one septet each (3GPP TS 23.038 §6.2.1, without
// the escape at 0x1B). gsm7Extended are those of its extension table: an escape and one septet (§6.2.1.1).
const (
	gsm7Basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extended = "\f^{}\\[~]|€"
)

// gsm7Septets holds how many septets a character takes. The farthest are Greek, below 0x400; the euro sign stands apart.
var gsm7Septets = func() (t [0x400]uint8) {
	for _, r := range gsm7Basic {
		t[r] = 1
	}
	for _, r := range gsm7Extended {
		if r != '€' {
			t[r] = 2
		}
	}
	return t
}()

// septets is the length of r in the GSM 7 bit alphabet; 0 if r is not in it.
func septets(r rune) int {
	switch {
	case r < rune(len(gsm7Septets)):
		return int(gsm7Septets[r])
	case r == '€':
		return 2
	default:
		return 0
	}
}

// utf16Units is the length of r in UTF-16: 2 beyond the basic plane.
func utf16Units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// SegmentCount tells what a text costs as SMS.
type SegmentCount struct {
	Segments int  // SMS that the text goes out as; 1 for an empty text
	Units    int  // GSM-7 septets, or UTF-16 units where Unicode is true
	Unicode  bool // a character is outside GSM-7, so that all of the text is sent as UCS-2
}

// CountSegments tells how many SMS a text is sent as: always len of what SplitSegments gives. It returns ErrInvalid
// for invalid UTF-8.
func CountSegments(text string) (SegmentCount, error) {
	c, err := measure(text)
	if err != nil {
		return SegmentCount{}, err
	}
	c.Segments = 1
	cutSegments(text, c, func(int) { c.Segments++ })
	return c, nil
}

// SplitSegments cuts text into SMS segments.
//
// Each result holds at most 153 GSM-7 septets (67 UTF-16 units if any character is outside GSM-7), or all of text if it
// fits in 160 (70). Concatenated, the results equal text; an empty text is one empty segment. No character is cut in
// two: neither an escape from its septet nor a surrogate from its pair. It returns ErrInvalid for invalid UTF-8.
// Source: 3GPP TS 23.038 §6.2.1 and 23.040 §9.2.3.24.1.
func SplitSegments(text string) ([]string, error) {
	c, err := measure(text)
	if err != nil {
		return nil, err
	}
	var parts []string
	start := 0
	cutSegments(text, c, func(at int) {
		parts = append(parts, text[start:at])
		start = at
	})
	return append(parts, text[start:]), nil
}

// measure finds the alphabet and the length of text. Segments stays 0.
func measure(text string) (SegmentCount, error) {
	if !utf8.ValidString(text) {
		return SegmentCount{}, fmt.Errorf("text is not UTF-8: %w", ErrInvalid)
	}
	gsm7, ucs2, unicode := 0, 0, false
	for _, r := range text {
		n := septets(r)
		unicode = unicode || n == 0
		gsm7 += n
		ucs2 += utf16Units(r)
	}
	if unicode {
		return SegmentCount{Units: ucs2, Unicode: true}, nil
	}
	return SegmentCount{Units: gsm7}, nil
}

// cutSegments calls cut with each byte offset at which a further segment begins.
func cutSegments(text string, c SegmentCount, cut func(at int)) {
	single, part, units := segmentSingleGSM7, segmentPartGSM7, septets
	if c.Unicode {
		single, part, units = segmentSingleUCS2, segmentPartUCS2, utf16Units
	}
	if c.Units <= single {
		return
	}
	used := 0
	for at, r := range text {
		n := units(r)
		if used+n > part {
			cut(at)
			used = 0
		}
		used += n
	}
}
