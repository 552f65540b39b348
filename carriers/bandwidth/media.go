package bandwidth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"omniservice/omni"
)

// mediaPath begins the path of every file. What follows is the account's id, "media", and the file's id with its slashes.
const mediaPath = "/api/v2/users/"

// mediaLife is how long files are kept.
const mediaLife = 48 * time.Hour

// MediaHosts implements carriers.MediaFetcher.
func (c *Carrier) MediaHosts() []string { return []string{c.base.Host} }

// MediaRequest implements carriers.MediaFetcher. Files are read with the credentials of the API, not with those of webhooks.
// Their type may be told as application/octet-stream whatever they are.
func (c *Carrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	u, err := url.Parse(ref.External.URL)
	if err != nil || u.Scheme != c.base.Scheme || u.Host != c.base.Host || u.User != nil || !c.isFile(u) {
		return nil, omni.Problemf(omni.ErrForbidden, "the file is not one of this account at Bandwidth's API")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, omni.Problemf(omni.ErrInvalid, "the address of the file is not a URL")
	}
	if err := c.authorise(ctx, r); err != nil {
		return nil, err
	}
	return r, nil
}

// isFile reports whether a path is that of a file of this account. Whoever has the credentials of webhooks alone must not have
// anything else read with those of the API.
func (c *Carrier) isFile(u *url.URL) bool {
	id, ok := strings.CutPrefix(u.Path, mediaPath+c.config.AccountID+"/media/")
	return ok && id != "" && !slices.ContainsFunc(strings.Split(id, "/"), func(part string) bool { return part == "." || part == ".." })
}
