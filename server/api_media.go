package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server/auth"
)

const (
	maxUpload  = pipeline.MaxFile + 64<<10 // bytes of the request: the file, its name, and what stands between parts
	uploadTime = 3 * time.Minute           // for 25 MB over a line of 1.2 Mbit/s
)

// uploadsOfAll are the megabytes that an organisation uploads, over all nodes: what nobody sends stays for a day.
var uploadsOfAll = Rate{PerSecond: 5, Burst: 10_000}

// MediaBody is a file that was uploaded.
type MediaBody struct {
	ID          string         `json:"id" doc:"For payload.files of a message"`
	Type        omni.MediaType `json:"type"`
	ContentType string         `json:"contentType" doc:"As found in the content"`
	Size        int64          `json:"size" doc:"Bytes"`
	Name        string         `json:"name,omitempty"`
	ExpiresAt   omni.Millis    `json:"expiresAt" doc:"When the file goes if no message takes it before"`
}

// uploadInput is a form with a file. It is read while it comes in, by the operation itself.
type uploadInput struct {
	form *multipart.Reader
	err  error
	size int // megabytes that it has at most
}

// Resolve implements huma.Resolver: it gets at the body, of which nothing is read here.
func (u *uploadInput) Resolve(ctx huma.Context) []error {
	u.size = pipeline.MaxFile >> 20
	if n, err := strconv.ParseInt(ctx.Header("Content-Length"), 10, 64); err == nil && n >= 0 {
		u.size = min(u.size, int(min(n, maxUpload))>>20+1)
	}
	typ, params, err := mime.ParseMediaType(ctx.Header("Content-Type"))
	if err != nil || typ != "multipart/form-data" || params["boundary"] == "" {
		u.err = &withStatus{http.StatusUnsupportedMediaType, omni.Problemf(omni.ErrInvalid, "Send the file as multipart/form-data, in a part named file.")}
		return nil
	}
	u.form = multipart.NewReader(ctx.BodyReader(), params["boundary"])
	return nil
}

// file finds the part with the file. Whatever stands before it is passed over.
func (u *uploadInput) file() (*multipart.Part, error) {
	if u.err != nil {
		return nil, u.err
	}
	for {
		part, err := u.form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, invalidField("file", "is required: a part of the form with that name, and a file name")
		}
		if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooBig
		}
		if err != nil {
			return nil, omni.Problemf(omni.ErrInvalid, "The form cannot be read. Send the file as multipart/form-data, in a part named file.")
		}
		if part.FormName() == "file" {
			return part, nil
		}
	}
}

func (s *Server) apiMedia() {
	register(s, endpoint{
		id: "media-upload", method: http.MethodPost, path: "/api/v1/media", tag: "messages", status: http.StatusCreated,
		summary: "Upload a file of at most 25 MB, to be sent with a message within a day",
		maxBody: maxUpload, time: uploadTime,
	}, s.upload)
	// Said afterwards: huma reads a body that it knows of by itself.
	s.api.OpenAPI().Paths["/api/v1/media"].Post.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"file"},
			Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary", Description: "With its name and, if it is known, its type"}},
		}}},
	}
}

func (s *Server) upload(ctx context.Context, p auth.Principal, in *uploadInput) (*plain[MediaBody], error) {
	if err := s.limitUploads(ctx, "rest-uploads/"+p.Tenant.UserID, 1, s.o.Limits.Uploads); err != nil {
		return nil, err
	}
	if err := s.limitUploads(ctx, "rest-uploads-organisation/"+p.Tenant.OrganisationID, in.size, uploadsOfAll); err != nil {
		return nil, err
	}
	part, err := in.file()
	var f omni.MediaFile
	if err == nil {
		f, err = s.d.Pipeline.Upload(ctx, actor(p), pipeline.Upload{Name: part.FileName(), ContentType: part.Header.Get("Content-Type"), Body: part})
	}
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig || errors.Is(err, pipeline.ErrFileTooLarge) {
		return nil, &withStatus{http.StatusRequestEntityTooLarge, omni.Problemf(omni.ErrInvalid, "The file is larger than 25 MB.")}
	}
	if err != nil {
		return nil, err
	}
	return &plain[MediaBody]{Body: MediaBody{
		ID: f.ID, Type: f.Type, ContentType: f.ContentType, Size: f.Size, Name: f.FileName, ExpiresAt: f.CreatedAt.Add(pipeline.UploadKept),
	}}, nil
}

// limitUploads takes n from a bucket. A bus that is away limits nobody.
func (s *Server) limitUploads(ctx context.Context, key string, n int, r Rate) error {
	ok, wait, err := s.d.Bus.Allow(ctx, key, n, r.PerSecond, r.Burst)
	if err != nil {
		s.log.WarnContext(ctx, "count an upload", "err", err)
		return nil
	}
	if !ok {
		return tooMany(wait)
	}
	return nil
}
