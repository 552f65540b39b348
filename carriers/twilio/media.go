package twilio

import (
	"context"
	"net/http"
	"net/url"

	"omniservice/omni"
)

// MediaHosts implements carriers.MediaFetcher.
func (c *Carrier) MediaHosts() []string { return []string{c.apiHost} }

// MediaRequest implements carriers.MediaFetcher. The API answers with a redirect to where the file lies; that host
// must not get the credentials.
func (c *Carrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	base, err := url.Parse(c.api)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the base of Twilio's API is not a URL")
	}
	u, err := url.Parse(ref.External.URL)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
		return nil, omni.Problemf(omni.ErrForbidden, "the file is not at Twilio's API")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
	}
	user, password := c.config.login()
	r.SetBasicAuth(user, password.Reveal())
	return r, nil
}
