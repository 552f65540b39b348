package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"omniservice/omni"
	"omniservice/store"
)

// settingsTTL is how long a setting is used before it is read again: changes made on this node are seen at once,
// those made on another within this time.
const settingsTTL = 3 * time.Second

// cache keeps what was loaded for settingsTTL. While the store is away it goes on giving the last good copy.
type cache[V any] struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]cached[V]
}

type cached[V any] struct {
	v    V
	till time.Time
}

// fresh returns what is kept under key, if it need not be read again.
func (c *cache[V]) fresh(key string) (V, bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	return e.v, ok && now.Before(e.till)
}

func (c *cache[V]) get(key string, load func() (V, error)) (V, error) {
	now := c.now()
	c.mu.Lock()
	old, ok := c.m[key]
	c.mu.Unlock()
	if ok && now.Before(old.till) {
		return old.v, nil
	}
	v, err := load()
	switch {
	case err == nil:
	case ok && isAway(err):
		return old.v, nil
	default:
		c.forget(key)
		return v, err
	}
	c.put(key, v)
	return v, nil
}

// maxCached bounds a cache; one that grew over it starts again.
const maxCached = 10_000

func (c *cache[V]) put(key string, v V) { c.set(key, v, c.now().Add(settingsTTL)) }

// keep is put for something old: it is read again at the next use.
func (c *cache[V]) keep(key string, v V) { c.set(key, v, time.Time{}) }

func (c *cache[V]) set(key string, v V, till time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxCached {
		clear(c.m)
	}
	c.m[key] = cached[V]{v, till}
}

// peek returns what is kept under key, however old.
func (c *cache[V]) peek(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	return e.v, ok
}

func (c *cache[V]) forget(key string) {
	c.mu.Lock()
	delete(c.m, key)
	c.mu.Unlock()
}

func (c *cache[V]) forgetAll() {
	c.mu.Lock()
	clear(c.m)
	c.mu.Unlock()
}

type caches struct {
	accounts  cache[*Account]                   // by public id
	byID      cache[*Account]                   // by id
	channels  cache[omni.DigitalChannel]        // by id
	addresses cache[omni.DigitalChannel]        // by account, family and address
	groups    cache[[]omni.DigitalChannelGroup] // by organisation
	users     cache[omni.User]                  // by id
	orgs      cache[omni.Organisation]          // by id
	reroutes  cache[[]omni.RerouteMapping]      // by carrier account
	patterns  cache[[]omni.DigitalChannel]      // those whose address is a pattern, by organisation
}

func (c *caches) init(now func() time.Time) {
	initCache(&c.accounts, now)
	initCache(&c.byID, now)
	initCache(&c.channels, now)
	initCache(&c.addresses, now)
	initCache(&c.groups, now)
	initCache(&c.users, now)
	initCache(&c.orgs, now)
	initCache(&c.reroutes, now)
	initCache(&c.patterns, now)
}

func initCache[V any](c *cache[V], now func() time.Time) { c.now, c.m = now, map[string]cached[V]{} }

// Forget drops what this node has kept of a setting, after it was changed. Kinds are those of wire.SettingsChange.
func (p *Pipeline) Forget(kind, id string) {
	switch kind {
	case "carrier-account":
		p.caches.accounts.forgetAll()
		p.caches.byID.forget(id)
		p.kept.refresh()
	case "channel":
		p.caches.channels.forget(id)
		p.caches.addresses.forgetAll()
		p.caches.patterns.forgetAll()
	case "group":
		p.caches.groups.forgetAll()
	case "user":
		p.caches.users.forget(id)
	case "organisation":
		p.caches.orgs.forget(id)
	case "reroute-mapping":
		p.caches.reroutes.forgetAll()
	}
}

func (p *Pipeline) channel(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannel, error) {
	ch, err := p.caches.channels.get(id, func() (omni.DigitalChannel, error) { return p.store.Channel(ctx, t, id) })
	if err == nil && ch.Tenant.OrganisationID != t.OrganisationID {
		return omni.DigitalChannel{}, omni.ErrNotFound
	}
	return ch, err
}

func (p *Pipeline) channelByAddress(ctx context.Context, t omni.Tenant, accountID string, family omni.ChannelType, address string) (omni.DigitalChannel, error) {
	return p.caches.addresses.get(accountID+"|"+string(family)+"|"+address, func() (omni.DigitalChannel, error) {
		ch, err := p.store.ChannelByAddress(ctx, t, accountID, family, address)
		if errors.Is(err, omni.ErrNotFound) && family == omni.ChannelPubNub {
			return p.channelByPattern(ctx, t, accountID, family, address)
		}
		return ch, err
	})
}

func (p *Pipeline) groups(ctx context.Context, t omni.Tenant) ([]omni.DigitalChannelGroup, error) {
	return p.caches.groups.get(t.OrganisationID, func() ([]omni.DigitalChannelGroup, error) {
		return readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannelGroup], error) {
			return p.store.Groups(ctx, t, pg)
		})
	})
}

func (p *Pipeline) group(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannelGroup, error) {
	gs, err := p.groups(ctx, t)
	if err != nil {
		return omni.DigitalChannelGroup{}, err
	}
	for _, g := range gs {
		if g.ID == id {
			return g, nil
		}
	}
	return omni.DigitalChannelGroup{}, omni.Problemf(omni.ErrNotFound, "there is no channel group %s", id)
}

func (p *Pipeline) user(ctx context.Context, t omni.Tenant, id string) (omni.User, error) {
	u, err := p.caches.users.get(id, func() (omni.User, error) { return p.store.User(ctx, t, id) })
	if err == nil && u.OrganisationID != t.OrganisationID {
		return omni.User{}, omni.ErrNotFound
	}
	return u, err
}

func (p *Pipeline) organisation(ctx context.Context, t omni.Tenant) (omni.Organisation, error) {
	return p.caches.orgs.get(t.OrganisationID, func() (omni.Organisation, error) { return p.store.Organisation(ctx, t) })
}

// readAll reads every page of a list that is known to be small.
func readAll[T any](ctx context.Context, list func(context.Context, store.Page) (store.List[T], error)) ([]T, error) {
	var all []T
	pg := store.Page{Limit: store.MaxPage}
	for {
		l, err := list(ctx, pg)
		if err != nil {
			return nil, err
		}
		all = append(all, l.Items...)
		if l.Next == "" {
			return all, nil
		}
		pg.Cursor = l.Next
	}
}
