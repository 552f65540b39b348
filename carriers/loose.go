package carriers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"omniservice/omni"
)

// maxStrings is the longest list of addresses or files that is read from a webhook.
const maxStrings = 1_000

// Scalar is a string, a number or a truth value in JSON, as text: providers do not agree with their own documents on
// which of them a field is. Whatever else stands there, or nothing, is "".
type Scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *Scalar) UnmarshalJSON(b []byte) error {
	*s = ""
	switch {
	case len(b) == 0 || b[0] == '{' || b[0] == '[' || b[0] == 'n':
		return nil
	case b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b):
		*s = Scalar(b[1 : len(b)-1]) // what it holds stands there as it is
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(s))
	default:
		*s = Scalar(b)
		return nil
	}
}

// Strings is a list of strings in JSON. A bare string or number is a list of one, and null is no list; entries are
// Scalars, and empty ones are left out. More than a thousand are an error.
type Strings []string

// UnmarshalJSON implements json.Unmarshaler. It stops at what is too long before it has room for it.
func (l *Strings) UnmarshalJSON(b []byte) error {
	*l = nil
	if len(b) == 0 || b[0] != '[' {
		var one Scalar
		err := one.UnmarshalJSON(b)
		if err == nil && one != "" {
			*l = Strings{string(one)}
		}
		return err
	}
	n := 0
	for entry := range Elements(b) {
		if n++; n > maxStrings {
			return fmt.Errorf("a list of more than %d", maxStrings)
		}
		var one Scalar
		if err := one.UnmarshalJSON(entry); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if one != "" {
			*l = append(*l, string(one))
		}
	}
	return nil
}

// WithoutMark is a body without the byte order mark that some programs write before UTF-8. It is no part of what they say, and
// who reads JSON may leave it out (RFC 8259 §8.1).
func WithoutMark(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

// EachObject gives the entries of a body that is a list to each, in order, or the body itself if it is an object. It
// copies nothing. At most MaxEvents entries are given. The error is a *WebhookError, or what each returned.
func EachObject(body []byte, each func(entry []byte) error) error {
	body = WithoutMark(body)
	if err := CheckNesting(body); err != nil {
		return err
	}
	if !json.Valid(body) {
		var whole json.RawMessage
		return MalformedJSON(json.Unmarshal(body, &whole))
	}
	body = bytes.TrimSpace(body)
	switch body[0] {
	case '{':
		return each(body)
	case '[':
	default:
		return Malformed(errors.New("neither a list nor an object"))
	}
	n := 0
	for entry := range Elements(body) {
		if n++; n > MaxEvents {
			return Malformed(fmt.Errorf("more than %d events", MaxEvents))
		}
		if err := each(entry); err != nil {
			return err
		}
	}
	return nil
}

// Elements gives the elements of an array, or the members of an object, that is known to be JSON, without decoding them.
func Elements(array []byte) iter.Seq[[]byte] {
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
				if !yield(bytes.TrimSpace(inside[start:i])) {
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

// kinds are the media types of files whose provider tells nothing but their address.
var kinds = map[string]omni.MediaType{
	".jpg": omni.MediaImage, ".jpeg": omni.MediaImage, ".png": omni.MediaImage, ".gif": omni.MediaImage, ".webp": omni.MediaImage,
	".bmp": omni.MediaImage, ".heic": omni.MediaImage, ".tif": omni.MediaImage, ".tiff": omni.MediaImage,
	".mp4": omni.MediaVideo, ".3gp": omni.MediaVideo, ".3gpp": omni.MediaVideo, ".3g2": omni.MediaVideo, ".mov": omni.MediaVideo,
	".m4v": omni.MediaVideo, ".webm": omni.MediaVideo, ".mpeg": omni.MediaVideo, ".mpg": omni.MediaVideo, ".avi": omni.MediaVideo,
	".mp3": omni.MediaAudio, ".m4a": omni.MediaAudio, ".aac": omni.MediaAudio, ".amr": omni.MediaAudio, ".ogg": omni.MediaAudio,
	".oga": omni.MediaAudio, ".wav": omni.MediaAudio, ".flac": omni.MediaAudio,
}

// FileAt makes the reference to a file of an inbound message of which nothing but its address is known. The name and the
// kind are guessed from it; the content type is not: that is known when the file is here.
func FileAt(carrier omni.CarrierName, address string) omni.MediaReference {
	address = omni.CleanText(strings.TrimSpace(address))
	name, _, _ := strings.Cut(address, "?")
	name, _, _ = strings.Cut(name, "#")
	name = path.Base(name)
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = path.Base(unescaped)
	}
	ref := omni.MediaReference{
		Carrier: carrier, Type: omni.MediaDocument, State: omni.MediaPending, FileName: omni.CleanName(name),
		External: omni.ExternalRef{URL: address},
	}
	if kind, ok := kinds[strings.ToLower(path.Ext(name))]; ok {
		ref.Type = kind
	}
	return ref
}

// FilesAt makes the references to the files at the addresses, without what only says how an MMS is laid out.
func FilesAt(carrier omni.CarrierName, addresses []string) []omni.MediaReference {
	var files []omni.MediaReference
	for _, a := range addresses {
		if strings.TrimSpace(a) != "" && !Presentation(strings.TrimSpace(a), "") {
			files = append(files, FileAt(carrier, a))
		}
	}
	return files
}
