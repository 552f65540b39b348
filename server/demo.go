package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"omniservice/omni"
)

// Simulator plays customers of the Test carrier and of those that are played: in demo mode the program connects one. An
// empty carrier is the Test carrier.
type Simulator interface {
	// Config tells the demo pages what there is.
	Config(ctx context.Context) (DemoConfig, error)
	// Inbound lets somebody write.
	Inbound(ctx context.Context, m SimulatedMessage) error
	// Outbox lists what a carrier delivered to an address, oldest first.
	Outbox(ctx context.Context, carrier omni.CarrierName, address string) ([]SimulatedDelivery, error)
	// Behave changes how a carrier treats what is sent from now on.
	Behave(ctx context.Context, b SimulatedBehaviour) error
}

// DemoConfig is what the demo pages need to know.
type DemoConfig struct {
	WidgetID string        `json:"widgetId,omitempty"` // public id of the demo's LiveChat channel
	Channels []DemoChannel `json:"channels"`
}

// DemoChannel is a channel that the simulator can write to.
type DemoChannel struct {
	Carrier     omni.CarrierName `json:"carrier"`
	ChannelType omni.ChannelType `json:"channelType"`
	Name        string           `json:"name"`
	Address     string           `json:"address"`
}

// SimulatedMessage is what a simulated customer writes.
type SimulatedMessage struct {
	Carrier     omni.CarrierName `json:"carrier,omitempty"` // empty: Test
	ChannelType omni.ChannelType `json:"channelType"`       // SMS, MMS, WhatsApp or PubNub
	From        string           `json:"from"`
	Name        string           `json:"name,omitempty"`
	Text        string           `json:"text"`
	MediaURL    string           `json:"mediaUrl,omitempty"`
	Fragments   int              `json:"fragments,omitempty"` // in how many parts the text comes; 0 or 1: whole
	DelayMs     int64            `json:"delayMs,omitempty"`
	Duplicates  int              `json:"duplicates,omitempty"` // how often the same comes again
}

// SimulatedDelivery is a message that reached a simulated customer, or did not.
type SimulatedDelivery struct {
	ID        string           `json:"id"`
	Channel   omni.ChannelType `json:"channelType"`
	From      string           `json:"from"`
	To        string           `json:"to"`
	Text      string           `json:"text"`
	MediaURLs []string         `json:"mediaUrls,omitempty"`
	Status    omni.Status      `json:"status"`
	ErrorCode string           `json:"errorCode,omitempty"`
	At        omni.Millis      `json:"at"`
}

// SimulatedBehaviour is how a carrier treats what is sent.
type SimulatedBehaviour struct {
	Carrier    omni.CarrierName `json:"carrier,omitempty"` // empty: Test
	DelayMs    int64            `json:"delayMs,omitempty"`
	FailCode   string           `json:"failCode,omitempty"`
	FailRate   float64          `json:"failRate,omitempty"` // 0 to 1
	Statuses   []omni.Status    `json:"statuses,omitempty"` // in the order in which they are reported
	Shuffle    bool             `json:"shuffle,omitempty"`
	Duplicates int              `json:"duplicates,omitempty"`
}

const maxDemoBody = 128 << 10

// buildDemo adds the demo pages and what the simulator page calls. They need no login, so they exist in demo mode only.
func (s *Server) buildDemo(g *gin.RouterGroup) {
	g.GET("/demo", s.demoPage("index.html"))
	g.GET("/demo/simulator", s.demoPage("simulator.html"))
	g.GET("/demo/hostile.html", s.demoPage("hostile.html"))
	g.GET("/demo/assets/*file", s.files(s.d.DemoSite, "assets", cacheForever, ""))
	if s.d.Simulator == nil {
		return
	}
	api := g.Group("/demo/api", s.noStore, s.ownPagesOnly)
	api.GET("/config", func(c *gin.Context) { reply(s, c, s.d.Simulator.Config) })
	api.GET("/outbox", func(c *gin.Context) {
		reply(s, c, func(ctx context.Context) (gin.H, error) {
			items, err := s.d.Simulator.Outbox(ctx, omni.CarrierName(c.Query("carrier")), c.Query("from"))
			return gin.H{"items": append([]SimulatedDelivery{}, items...)}, err
		})
	})
	api.POST("/inbound", func(c *gin.Context) {
		accept(s, c, func(ctx context.Context, m SimulatedMessage) error {
			switch {
			case m.ChannelType == omni.ChannelLiveChat || !m.ChannelType.Valid():
				return invalidField("channelType", "must be SMS, MMS, WhatsApp or PubNub")
			case m.From == "" || len(m.From) > 40:
				return invalidField("from", "must be a number")
			case m.Text == "" && m.MediaURL == "":
				return invalidField("text", "must not be empty")
			case m.Fragments < 0 || m.Fragments > 255 || m.Duplicates < 0 || m.Duplicates > 100 || m.DelayMs < 0 || m.DelayMs > 600_000:
				return invalidField("fragments", "duplicates or delayMs is out of range")
			}
			return s.d.Simulator.Inbound(ctx, m)
		})
	})
	api.PUT("/behaviour", func(c *gin.Context) {
		accept(s, c, func(ctx context.Context, b SimulatedBehaviour) error {
			if b.FailRate < 0 || b.FailRate > 1 || b.DelayMs < 0 || b.DelayMs > 600_000 || b.Duplicates < 0 || b.Duplicates > 100 || len(b.Statuses) > 20 {
				return invalidField("failRate", "delayMs, duplicates or statuses is out of range")
			}
			for _, st := range b.Statuses {
				if !st.Valid() {
					return invalidField("statuses", "must be statuses")
				}
			}
			return s.d.Simulator.Behave(ctx, b)
		})
	})
}

// demoPage serves one of the demo's pages. The site shows the widget in a frame of ours.
func (s *Server) demoPage(name string) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Content-Security-Policy", policyPage+"connect-src 'self' "+s.socketOrigin()+"; frame-src 'self'; frame-ancestors 'self'")
		s.file(c, s.d.DemoSite, name, cacheNever)
	}
}

// ownPagesOnly keeps other sites' pages from playing with a demo that runs on their visitor's machine.
func (s *Server) ownPagesOnly(c *gin.Context) {
	origin, site := c.GetHeader("Origin"), c.GetHeader("Sec-Fetch-Site")
	if origin != "" && !s.ownOrigin(origin) || site != "" && site != "same-origin" && site != "none" {
		s.writeProblem(c, omni.Problemf(omni.ErrForbidden, "Only the demo's own pages may do this."))
		return
	}
	c.Next()
}

func reply[T any](s *Server, c *gin.Context, get func(context.Context) (T, error)) {
	v, err := get(c.Request.Context())
	if err != nil {
		s.writeProblem(c, err)
		return
	}
	c.JSON(http.StatusOK, v)
}

func accept[T any](s *Server, c *gin.Context, do func(context.Context, T) error) {
	var in T
	if !strings.HasPrefix(c.GetHeader("Content-Type"), "application/json") {
		s.writeProblem(c, &withStatus{http.StatusUnsupportedMediaType, omni.Problemf(omni.ErrInvalid, "Send application/json.")})
		return
	}
	d := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxDemoBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.writeProblem(c, omni.Problemf(omni.ErrInvalid, "The request is not valid JSON of the fields that are known here."))
		return
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		s.writeProblem(c, omni.Problemf(omni.ErrInvalid, "The request holds more than one value."))
		return
	}
	if err := do(c.Request.Context(), in); err != nil {
		s.writeProblem(c, err)
		return
	}
	c.Status(http.StatusAccepted)
	c.Writer.WriteHeaderNow()
}
