package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"omniservice/omni"
	"omniservice/server/auth"
	"omniservice/store"
)

// KeyInput is the Idempotency-Key of a request (rule A10): 1 to 255 printable characters, kept for a day.
type KeyInput struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"The same key and request again gives the first answer again"`
}

const (
	keepKey   = 24 * time.Hour
	keyFlight = time.Minute // how long a request may be under way before its key is free again
)

// once does a request, or gives the answer that its key was given before. request is what makes two requests the same.
func once[T any](ctx context.Context, s *Server, p auth.Principal, in KeyInput, request any, do func() (*T, error)) (*T, error) {
	if in.Key == "" {
		return do()
	}
	if strings.ContainsFunc(in.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, omni.Problemf(omni.ErrInvalid, "The header Idempotency-Key must be 1 to 255 printable characters.")
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	sum := sha256.Sum256(body)
	rec := store.IdempotencyRecord{
		Key: p.Tenant.UserID + "/" + in.Key, BodyHash: hex.EncodeToString(sum[:]), ExpiresAt: s.millis().Add(keyFlight),
	}
	got, mine, err := s.d.Store.ReserveKey(ctx, p.Tenant, rec, s.millis())
	if err != nil {
		return nil, fmt.Errorf("reserve an idempotency key: %w", err)
	}
	if !mine {
		return replay[T](got, rec)
	}
	out, err := do()
	if err != nil {
		if dropped := s.d.Store.DropKey(context.WithoutCancel(ctx), p.Tenant, rec.Key); dropped != nil {
			s.log.WarnContext(ctx, "free an idempotency key", "org_id", p.Tenant.OrganisationID, "err", dropped)
		}
		return nil, err
	}
	rec.Done, rec.Status, rec.ExpiresAt = true, http.StatusOK, s.millis().Add(keepKey)
	if rec.Body, err = json.Marshal(out); err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	if err := s.d.Store.CompleteKey(context.WithoutCancel(ctx), p.Tenant, rec); err != nil {
		return nil, fmt.Errorf("keep an answer: %w", err)
	}
	return out, nil
}

func replay[T any](got, asked store.IdempotencyRecord) (*T, error) {
	if !hmac.Equal([]byte(got.BodyHash), []byte(asked.BodyHash)) {
		return nil, &withStatus{
			status: http.StatusUnprocessableEntity,
			err:    omni.Problemf(omni.ErrInvalid, "This Idempotency-Key was used with another request."),
		}
	}
	if !got.Done {
		p := omni.Problemf(omni.ErrConflict, "The same request is under way.")
		p.RetryAfter = time.Second
		return nil, p
	}
	var out T
	if err := json.Unmarshal(got.Body, &out); err != nil {
		return nil, fmt.Errorf("decode a kept answer: %w", err)
	}
	return &out, nil
}
