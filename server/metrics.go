package server

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"omniservice/carriers"
	"omniservice/hub"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/spool"
)

// Metrics counts, in a registry of its own. No label holds an id, an address or anything else that a request brings.
type Metrics struct {
	registry *prometheus.Registry
	hub      atomic.Pointer[hub.Hub]
	spool    atomic.Pointer[func() spool.Stats]

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	webhooks *prometheus.CounterVec
	inbound  *prometheus.HistogramVec
	sends    *prometheus.CounterVec
	sendTime *prometheus.HistogramVec
	aside    *prometheus.CounterVec
	commands *prometheus.CounterVec
}

// NewMetrics makes them.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "omni", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "omni", Name: name, Help: help,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.requests = counter("http_requests_total", "Requests by route and status.", "method", "route", "status")
	m.duration = histogram("http_request_seconds", "Time to answer a request.", "route")
	m.webhooks = counter("webhooks_total", "What became of carriers' webhooks.", "carrier", "metric", "type")
	m.inbound = histogram("inbound_seconds", "From a webhook's arrival to its message being published.", "carrier")
	m.sends = counter("sends_total", "Sends to carriers by reason of failure; none for those that were taken.", "carrier", "reason")
	m.sendTime = histogram("send_seconds", "Time that a carrier took to answer a send.", "carrier")
	m.aside = counter("webhooks_set_aside_total", "Webhooks kept for a person to look at.", "reason")
	m.commands = counter("commands_total", "Socket commands by outcome.", "type", "code")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), hubCollector{m}, spoolCollector{m})
	return m
}

// Registry is where the program may register more.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 3, Timeout: 10 * time.Second})
}

// Pipeline is what the pipeline observes with.
func (m *Metrics) Pipeline() pipeline.Metrics {
	return pipeline.Metrics{
		Webhook: m.webhook,
		Inbound: func(c omni.CarrierName, since time.Duration) {
			m.inbound.WithLabelValues(carrierLabel(c)).Observe(since.Seconds())
		},
		Send: func(c omni.CarrierName, reason omni.Reason, took time.Duration) {
			r := string(reason)
			if reason == "" {
				r = "none"
			}
			m.sends.WithLabelValues(carrierLabel(c), r).Inc()
			m.sendTime.WithLabelValues(carrierLabel(c)).Observe(took.Seconds())
		},
		Aside: func(reason store.SetAsideReason) { m.aside.WithLabelValues(string(reason)).Inc() },
	}
}

func (m *Metrics) webhook(c omni.CarrierName, metric carriers.ResponseMetric, typ carriers.MessageType) {
	m.webhooks.WithLabelValues(carrierLabel(c), string(metric), string(typ)).Inc()
}

func carrierLabel(c omni.CarrierName) string {
	if c == "" {
		return "none"
	}
	return string(c)
}

func (m *Metrics) request(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// command counts a command of a known type.
func (m *Metrics) command(typ string, code omni.Code) {
	if code == "" {
		code = "ok"
	}
	m.commands.WithLabelValues(typ, string(code)).Inc()
}

// hubCollector reads the hub's counts when somebody asks.
type hubCollector struct{ m *Metrics }

type hubValue struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(hub.Stats) float64
}

func hubDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("omni_hub_"+name, help, nil, nil)
}

var hubValues = []hubValue{
	{hubDesc("connections", "Open sockets."), prometheus.GaugeValue, func(s hub.Stats) float64 { return float64(s.Connections) }},
	{hubDesc("topics", "Topics that this node follows."), prometheus.GaugeValue, func(s hub.Stats) float64 { return float64(s.Topics) }},
	{hubDesc("queue_bytes", "Waiting for clients."), prometheus.GaugeValue, func(s hub.Stats) float64 { return float64(s.QueueBytes) }},
	{hubDesc("pending_events", "Waiting for the bus."), prometheus.GaugeValue, func(s hub.Stats) float64 { return float64(s.Pending) }},
	{hubDesc("accepted_total", "Handshakes."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Accepted) }},
	{hubDesc("refused_total", "Refused handshakes and connects."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Refused) }},
	{hubDesc("delivered_total", "Events and answers written."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Delivered) }},
	{hubDesc("writes_total", "Writes that took."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Writes) }},
	{hubDesc("dropped_total", "Messages that waited for a socket which closed."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Dropped) }},
	{hubDesc("slow_closes_total", "Sockets closed for being slow."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.SlowCloses) }},
	{hubDesc("resyncs_total", "Deliveries that the bus lost and the hub repaired."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Resyncs) }},
	{hubDesc("recovered_total", "Topics resumed without loss."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Recovered) }},
	{hubDesc("reset_total", "Topics whose history did not reach back."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.Reset) }},
	{hubDesc("handler_panics_total", "Commands that panicked."), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(s.HandlerPanics) }},
}

// Describe implements prometheus.Collector.
func (hubCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range hubValues {
		ch <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	h := c.m.hub.Load()
	if h == nil {
		return
	}
	s := h.Stats()
	for _, v := range hubValues {
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value(s))
	}
}

// spoolCollector reads what the spool holds when somebody asks.
type spoolCollector struct{ m *Metrics }

type spoolValue struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(spool.Stats) float64
}

func spoolDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("omni_spool_"+name, help, nil, nil)
}

var spoolValues = []spoolValue{
	{spoolDesc("records", "Webhooks on this node's disk that wait for the store."), prometheus.GaugeValue, func(s spool.Stats) float64 { return float64(s.Records) }},
	{spoolDesc("bytes", "Of the spool on the disk."), prometheus.GaugeValue, func(s spool.Stats) float64 { return float64(s.Bytes) }},
	{spoolDesc("limit_bytes", "At which the spool takes no more."), prometheus.GaugeValue, func(s spool.Stats) float64 { return float64(s.MaxBytes) }},
	{spoolDesc("oldest_seconds", "Age of the oldest webhook that waits; 0 if none does."), prometheus.GaugeValue, func(s spool.Stats) float64 { return s.Oldest.Seconds() }},
	{spoolDesc("appended_total", "Webhooks that were spooled."), prometheus.CounterValue, func(s spool.Stats) float64 { return float64(s.Appended) }},
	{spoolDesc("refused_total", "Webhooks that the spool could not take."), prometheus.CounterValue, func(s spool.Stats) float64 { return float64(s.Refused) }},
	{spoolDesc("drained_total", "Webhooks that went from the spool to the store."), prometheus.CounterValue, func(s spool.Stats) float64 { return float64(s.Drained) }},
	{spoolDesc("set_aside_total", "Damaged stretches of the spool."), prometheus.CounterValue, func(s spool.Stats) float64 { return float64(s.SetAside) }},
}

// Describe implements prometheus.Collector.
func (spoolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range spoolValues {
		ch <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (c spoolCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.m.spool.Load()
	if stats == nil {
		return
	}
	s := (*stats)()
	for _, v := range spoolValues {
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.value(s))
	}
}
