package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/pipeline"
)

// webhookTime is how long a webhook may take to become durable. Carriers wait 10 to 15 s.
const webhookTime = 8 * time.Second

// webhook takes what a carrier posts. Nothing of it is parsed before it is verified, and 2xx is answered only after it
// is durable. The answers are the carriers' to read, so they are not Problems.
func (s *Server) webhook(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), webhookTime)
	defer cancel()
	name, known := omni.CarrierByPath(c.Param("carrier"))
	publicID := c.Param("account")
	if !known || len(publicID) > 100 {
		s.refuseWebhook(c, "", http.StatusNotFound)
		return
	}
	account, err := s.d.Pipeline.Account(ctx, publicID)
	switch {
	case errors.Is(err, omni.ErrNotFound), err == nil && account.Record.Carrier != name:
		s.refuseWebhook(c, name, http.StatusNotFound)
		return
	case err != nil:
		s.log.ErrorContext(ctx, "find the account of a webhook", "carrier", string(name), "err", err)
		s.refuseWebhook(c, name, http.StatusServiceUnavailable)
		return
	}
	req, status := s.readWebhook(c, account)
	if status != 0 {
		s.refuseWebhook(c, name, status)
		return
	}
	if err := account.Carrier.Verify(req); err != nil {
		s.webhookRefused(ctx, account, err)
		s.refuseWebhook(c, name, verifyStatus(err))
		return
	}
	own, elsewhere, err := s.d.Pipeline.Share(ctx, account, req)
	if err != nil {
		s.log.ErrorContext(ctx, "share a webhook", "carrier", string(name), "account_id", account.Record.ID,
			"org_id", account.Record.Tenant.OrganisationID, "err", err)
		s.refuseWebhook(c, name, http.StatusServiceUnavailable)
		return
	}
	var parsed carriers.Parsed
	if own != nil {
		req.Body = own
		if parsed, err = account.Carrier.Parse(req); err != nil {
			s.webhookRefused(ctx, account, err)
			s.refuseParse(c, name, err)
			return
		}
	}
	if err := s.d.Pipeline.Accept(ctx, account, req, parsed, elsewhere...); err != nil {
		s.log.ErrorContext(ctx, "webhook not durable", "carrier", string(name), "account_id", account.Record.ID,
			"org_id", account.Record.Tenant.OrganisationID, "err", err)
		s.refuseWebhook(c, name, http.StatusServiceUnavailable)
		return
	}
	answer := account.Carrier.Respond(parsed)
	if answer.ContentType == "" {
		c.Status(answer.Status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Data(answer.Status, answer.ContentType, []byte(answer.Body))
}

// readWebhook reads a webhook once, at most as much as its carrier's bodies may have. status is 0 or the answer.
func (s *Server) readWebhook(c *gin.Context, a *pipeline.Account) (req carriers.WebhookRequest, status int) {
	if enc := c.GetHeader("Content-Encoding"); enc != "" && enc != "identity" {
		c.Header("Connection", "close")
		return req, http.StatusUnsupportedMediaType
	}
	limit := a.Provider.MaxBody()
	if c.Request.ContentLength > limit {
		c.Header("Connection", "close")
		return req, http.StatusRequestEntityTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
	if err != nil {
		c.Header("Connection", "close")
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return req, http.StatusRequestEntityTooLarge
		}
		return req, http.StatusBadRequest
	}
	// What the signature covers is the URL that the carrier was given, whatever the request's host says (rule W4).
	url := s.d.Pipeline.WebhookURL(a.Record)
	if q := c.Request.URL.RawQuery; q != "" {
		url += "?" + q
	}
	return carriers.WebhookRequest{Method: c.Request.Method, URL: url, Header: c.Request.Header, Body: body, Now: s.now()}, 0
}

func verifyStatus(err error) int {
	if errors.Is(err, omni.ErrInvalid) {
		return http.StatusBadRequest
	}
	return http.StatusForbidden
}

// webhookRefused logs why, by the name that the carrier's adapter gives it: never a value of the request.
func (s *Server) webhookRefused(ctx context.Context, a *pipeline.Account, err error) {
	reason := "invalid"
	if w, ok := errors.AsType[*carriers.WebhookError](err); ok {
		reason = w.Name
		if w.Field != "" {
			reason = fmt.Sprintf("%s %.64s", w.Name, w.Field)
		}
	}
	s.log.WarnContext(ctx, "webhook refused", "carrier", string(a.Record.Carrier), "account_id", a.Record.ID,
		"org_id", a.Record.Tenant.OrganisationID, "reason", reason)
}

// refuseParse answers an authentic webhook that cannot be used: with what is wrong, since its sender is who they say.
func (s *Server) refuseParse(c *gin.Context, name omni.CarrierName, err error) {
	status := http.StatusBadRequest
	body := gin.H{"error": carriers.MalformedBody}
	if w, ok := errors.AsType[*carriers.WebhookError](err); ok {
		body["error"] = w.Name
		if w.Field != "" {
			body["field"] = w.Field
		}
	}
	switch {
	case errors.Is(err, omni.ErrForbidden):
		s.refuseWebhook(c, name, http.StatusForbidden)
		return
	case errors.Is(err, omni.ErrUnauthenticated):
		s.refuseWebhook(c, name, http.StatusForbidden)
		return
	}
	s.metrics.webhook(name, carriers.Rejected, carriers.TypeUnknown)
	c.JSON(status, body)
}

// refuseWebhook answers without a body.
func (s *Server) refuseWebhook(c *gin.Context, name omni.CarrierName, status int) {
	s.metrics.webhook(name, carriers.Rejected, carriers.TypeUnknown)
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "5")
	}
	c.Status(status)
	c.Writer.WriteHeaderNow()
}
