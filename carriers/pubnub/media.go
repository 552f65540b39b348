package pubnub

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// types are the content types of files that are known by the end of their name alone. It is a table of our own, because what a
// machine knows of them differs.
var types = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".heic": "image/heic",
	".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg", ".aac": "audio/aac", ".m4a": "audio/mp4",
	".amr": "audio/amr", ".wav": "audio/wav",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".3gp": "video/3gpp", ".mov": "video/quicktime", ".webm": "video/webm",
	".pdf": "application/pdf", ".txt": "text/plain", ".csv": "text/csv", ".vcf": "text/vcard", ".zip": "application/zip",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":  "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
	".odp": "application/vnd.oasis.opendocument.presentation",
}

// guess is the content type that a file's name tells, "" if it tells none.
func guess(name string) string { return types[strings.ToLower(path.Ext(name))] }

// fileURL is where a file of the keyset lies.
func (c *Carrier) fileURL(channel, id, name string) string {
	return c.api + c.filePath(channel) + "/files/" + escape(id) + "/" + escape(name)
}

func (c *Carrier) filePath(channel string) string {
	return "/v1/files/" + escape(c.config.subscribeKey) + "/channels/" + escape(channel)
}

// file is a file that PubNub stores. ok is false if there is none, or it only says how others are laid out.
func (c *Carrier) file(channel, id, name string) (ref omni.MediaReference, ok bool) {
	if id == "" || name == "" || len(id) > maxAddress || len(name) > maxFileURL {
		return ref, false
	}
	return reference(id, name, c.fileURL(channel, id, name), guess(name))
}

func reference(id, name, address, kind string) (ref omni.MediaReference, ok bool) {
	if carriers.Presentation(address, kind) || len(address) > maxFileURL {
		return ref, false
	}
	return omni.MediaReference{
		Carrier: omni.CarrierPubNub, Type: omni.MediaTypeOf(kind), ContentType: kind, State: omni.MediaPending,
		FileName: omni.CleanName(name), External: omni.ExternalRef{ID: omni.CleanName(id), URL: address},
	}, true
}

// files are those that a message lists by itself.
func (c *Carrier) files(channel string, list value) []omni.MediaReference {
	var all []omni.MediaReference
	for f := range list.elements() {
		if len(all) == maxFiles {
			break
		}
		id, _ := f.member("id").text()
		name, _ := f.member("name").text()
		address, _ := f.member("url").text()
		kind, _ := f.member("type").text()
		kind = omni.CleanName(kind)
		if address = strings.TrimSpace(omni.CleanText(address)); address == "" {
			if id == "" || name == "" {
				continue
			}
			address = c.fileURL(channel, id, name)
		}
		if kind == "" {
			kind = guess(name)
		}
		if u, err := url.Parse(address); err == nil && kind == "" {
			kind = guess(u.Path)
		}
		if ref, ok := reference(id, name, address, kind); ok && len(id) <= maxAddress {
			all = append(all, ref)
		}
	}
	return all
}

// MediaHosts implements carriers.MediaFetcher: PubNub, and where the app keeps files.
func (c *Carrier) MediaHosts() []string {
	return append([]string{c.apiHost}, c.config.hosts...)
}

// MediaRequest implements carriers.MediaFetcher. PubNub answers with a redirect to where the file lies, which needs no
// credentials; those in the query stay behind.
func (c *Carrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	u, err := url.Parse(ref.External.URL)
	if err != nil || u.User != nil || u.Host == "" {
		return nil, omni.Problemf(omni.ErrForbidden, "the file has no address that may be fetched")
	}
	if u.Host != c.apiHost {
		if u.Scheme != "https" || !slices.Contains(c.config.hosts, u.Host) {
			return nil, omni.Problemf(omni.ErrForbidden, "the file is neither at PubNub nor at a host of the account")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
		if err != nil {
			return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
		}
		return r, nil
	}
	// An address comes from who writes to us: with our credentials it must not reach anything else than files.
	at := u.EscapedPath()
	if u.Scheme != c.apiScheme || !strings.HasPrefix(at, "/v1/files/"+escape(c.config.subscribeKey)+"/channels/") ||
		strings.Count(u.Path, "/") != 8 || path.Clean(u.Path) != u.Path {
		return nil, omni.Problemf(omni.ErrForbidden, "the address is not that of a file of this keyset")
	}
	r, err := c.request(ctx, call{method: http.MethodGet, path: at})
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
	}
	return r, nil
}
