package httpout

import (
	"crypto/tls"
	"net/http"
)

// SetTLS changes the TLS configuration of a client that was not used yet.
func SetTLS(c *http.Client, change func(*tls.Config)) {
	change(c.Transport.(*guard).next.TLSClientConfig)
}
