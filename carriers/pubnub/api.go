package pubnub

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// call is one request to PubNub's API, without who makes it.
type call struct {
	method string
	path   string            // with what has to be escaped in it
	query  map[string]string // nil: none
	body   []byte            // JSON; nil: none
}

// request makes the HTTP request of a call: with the gateway's user id, and a token or a signature where there is one.
func (c *Carrier) request(ctx context.Context, in call) (*http.Request, error) {
	query := map[string]string{"uuid": c.config.userID}
	maps.Copy(query, in.query)
	switch {
	case c.config.signs():
		query["timestamp"] = strconv.FormatInt(c.now().Unix(), 10)
		query["signature"] = sign(c.config.secretKey, in.method, c.config.publishKey, in.path, encode(query), in.body)
	case !c.config.auth.IsZero():
		query["auth"] = c.config.auth.Reveal()
	}
	r, err := http.NewRequestWithContext(ctx, in.method, c.api+in.path+"?"+encode(query), bytes.NewReader(in.body))
	if err != nil {
		return nil, errors.New("the base of the API is not a URL")
	}
	r.Header.Set("Accept", "application/json")
	if in.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// exchange makes a call. What is not an answer of success is a *carriers.SendError.
func (c *Carrier) exchange(ctx context.Context, in call) (carriers.Answer, error) {
	r, err := c.request(ctx, in)
	if err != nil {
		return carriers.Answer{}, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: err}
	}
	a, err := carriers.Exchange(c.http, r)
	if err == nil && a.Status/100 != 2 {
		err = c.refused(a)
	}
	return a, err
}

// sign is version 2 of PubNub's signature. path and query are as they go over the wire; the query without the signature.
// Source: "Access Manager introduction" of the REST API, read 2026-11-23.
func sign(key omni.Secret, method, publishKey, path, query string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(method + "\n" + publishKey + "\n" + path + "\n" + query + "\n"))
	mac.Write(body)
	return "v2." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// encode writes a query with its names in order, as signatures need it.
func encode(query map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(name) + "=" + escape(query[name]))
	}
	return b.String()
}

// unreserved is what PubNub does not escape: less than most do.
func unreserved(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// escape writes a part of a path or a value of a query.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if unreserved(rune(s[i])) {
			b.WriteByte(s[i])
			continue
		}
		b.Write([]byte{'%', hex[s[i]>>4], hex[s[i]&15]})
	}
	return b.String()
}
