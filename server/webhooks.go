package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	if asked := c.GetHeader(pipeline.CheckHeader); asked != "" && c.Request.Method == http.MethodGet {
		c.Header(pipeline.CheckHeader, s.d.Pipeline.AnswerCheck(publicID, asked))
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return
	}
	req, status := s.readWebhook(c, account)
	if status != 0 {
		s.refuseWebhook(c, name, status)
		return
	}
	if s.challenged(c, account, req) {
		return
	}
	if err := account.Carrier.Verify(req); err != nil {
		s.webhookRefused(c, account, err, false)
		return
	}
	own, elsewhere, err := s.d.Pipeline.Share(ctx, account, req)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "share a webhook", webhookInfo(account, carriers.Rejected, carriers.TypeUnknown, "").Attr(), slog.Any("err", err))
		s.refuseWebhook(c, name, http.StatusServiceUnavailable)
		return
	}
	var parsed carriers.Parsed
	if own != nil {
		req.Body = own
		if parsed, err = account.Carrier.Parse(req); err != nil {
			s.webhookRefused(c, account, err, true)
			return
		}
	}
	if err := s.d.Pipeline.Accept(ctx, account, req, parsed, elsewhere...); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "webhook not durable", webhookInfo(account, carriers.Rejected, carriers.TypeUnknown, "").Attr(), slog.Any("err", err))
		s.refuseWebhook(c, name, http.StatusServiceUnavailable)
		return
	}
	answer := account.Carrier.Respond(parsed)
	s.log.LogAttrs(ctx, slog.LevelDebug, "webhook taken", webhookInfo(account, answer.Metric, answer.MessageType, "").Attr())
	answerWebhook(c, answer)
}

func answerWebhook(c *gin.Context, answer carriers.HTTPResponse) {
	if answer.ContentType == "" {
		c.Status(answer.Status)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Data(answer.Status, answer.ContentType, []byte(answer.Body))
}

// challenged answers a provider that asks whether the address is ours, before it posts anything to it. What it brings is no
// webhook and not signed as one, so this comes before both. It reports whether the request was such a question.
func (s *Server) challenged(c *gin.Context, a *pipeline.Account, req carriers.WebhookRequest) bool {
	asks, ok := a.Carrier.(carriers.Challenger)
	if !ok {
		return false
	}
	answer, is, err := asks.Challenge(req)
	switch {
	case err != nil:
		s.webhookRefused(c, a, err, false)
	case is:
		if answer.Metric.Valid() {
			s.metrics.webhook(a.Record.Carrier, answer.Metric, answer.MessageType)
		}
		s.log.LogAttrs(c.Request.Context(), slog.LevelInfo, "webhook address confirmed", webhookInfo(a, answer.Metric, answer.MessageType, "").Attr())
		answerWebhook(c, answer)
	}
	return is || err != nil
}

func webhookInfo(a *pipeline.Account, metric carriers.ResponseMetric, typ carriers.MessageType, reason string) carriers.LogInfo {
	return carriers.LogInfo{
		Carrier: a.Record.Carrier, AccountID: a.Record.ID, OrgID: a.Record.Tenant.OrganisationID, MessageType: typ, Metric: metric, Reason: reason,
	}
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

// webhookRefused logs and answers a request that its carrier's adapter does not take. The log says why, by the name that the
// adapter gives it: never a value of the request. The answer says so too if its sender is who they say: authentic; whoever else
// asks learns nothing but how the provider has to show who it is.
func (s *Server) webhookRefused(c *gin.Context, a *pipeline.Account, err error, authentic bool) {
	status, reason, body := http.StatusForbidden, "refused", gin.H{}
	if errors.Is(err, omni.ErrInvalid) {
		status, reason = http.StatusBadRequest, carriers.MalformedBody
	}
	if w, ok := errors.AsType[*carriers.WebhookError](err); ok {
		reason = w.Name
		if w.Field != "" {
			reason, body["field"] = fmt.Sprintf("%s %.64s", w.Name, w.Field), fmt.Sprintf("%.64s", w.Field)
		}
		body["error"] = w.Name
		if w.Status >= http.StatusBadRequest && w.Status < http.StatusInternalServerError {
			status = w.Status
		}
		if w.Authenticate != "" && status == http.StatusUnauthorized {
			c.Header("WWW-Authenticate", w.Authenticate)
		}
	} else {
		body["error"] = reason
	}
	if !authentic && !errors.Is(err, omni.ErrInvalid) {
		s.d.Pipeline.Refused(a, reason)
	}
	s.log.LogAttrs(c.Request.Context(), slog.LevelWarn, "webhook refused", webhookInfo(a, carriers.Rejected, carriers.TypeUnknown, reason).Attr())
	if !authentic || !errors.Is(err, omni.ErrInvalid) {
		s.refuseWebhook(c, a.Record.Carrier, status)
		return
	}
	s.metrics.webhook(a.Record.Carrier, carriers.Rejected, carriers.TypeUnknown)
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
