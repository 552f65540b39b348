package messagebird

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"omniservice/omni"
)

// mediaHosts are the carrier's own hosts. All of them may have the access key.
var mediaHosts = []string{
	"media.messagebird.com", "rest.messagebird.com", "conversations.messagebird.com", "messaging.messagebird.com", "api.bird.com", "media.nest.messagebird.com",
}

// domains are the carrier's. Files may lie on other hosts below them: nobody says on which, so those get no key.
var domains = []string{".messagebird.com", ".bird.com"}

// MediaHosts implements carriers.MediaFetcher.
func (c *Carrier) MediaHosts() []string {
	all := append(slices.Clone(mediaHosts), c.config.mediaHosts...)
	for _, d := range domains {
		all = append(all, "*"+d)
	}
	if base, err := url.Parse(c.rest); err == nil && !slices.Contains(all, base.Host) {
		all = append(all, base.Host)
	}
	return all
}

// MediaRequest implements carriers.MediaFetcher. How long a file lies there is not documented.
func (c *Carrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	u, err := url.Parse(ref.External.URL)
	if err != nil || u.User != nil || u.Host == "" {
		return nil, omni.Problemf(omni.ErrForbidden, "the file has no address that may be fetched")
	}
	base, err := url.Parse(c.rest)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the base of MessageBird's API is not a URL")
	}
	own := u.Scheme == "https" && slices.Contains(mediaHosts, u.Host) || u.Scheme == base.Scheme && u.Host == base.Host
	below := slices.ContainsFunc(domains, func(d string) bool { return strings.HasSuffix(u.Host, d) })
	other := u.Scheme == "https" && (below || slices.Contains(c.config.mediaHosts, u.Host))
	if !own && !other {
		return nil, omni.Problemf(omni.ErrForbidden, "the file is not at one of MessageBird's hosts")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
	}
	if own {
		r.Header.Set("Authorization", c.authorization())
	}
	return r, nil
}
