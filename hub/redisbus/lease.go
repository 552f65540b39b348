package redisbus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"omniservice/hub"
	"omniservice/omni"
)

// leasesAtOnce is how many leases one script sets or drops: others wait for it.
const leasesAtOnce = 128

// leaseKeys are a group's members, when they end, and the channel of its topic.
func (b *Bus) leaseKeys(part int, group string) (members, ends, channel string) {
	p := &b.partition[part]
	return p.lease + group, p.ends + group, p.channel + group
}

// leaseArgs checks a change and encodes what it tells.
func leaseArgs(c hub.LeaseChange, holder bool) (tell []byte, err error) {
	if c.Member == "" || strings.ContainsAny(c.Member+c.Holder, " \n") || holder && c.Holder == "" {
		return nil, fmt.Errorf("a lease of member %q and holder %q: %w", c.Member, c.Holder, omni.ErrInvalid)
	}
	if c.Tell.Type == "" {
		return nil, nil
	}
	return encode("0 -", c.Tell)
}

// SetLeases implements hub.Bus.
func (b *Bus) SetLeases(ctx context.Context, groups []hub.LeaseGroup, ttl time.Duration) ([]hub.LeaseState, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("set leases: %w", err)
	}
	type batch struct {
		args []any
		size int
	}
	batches := make([][]batch, len(groups)) // all is checked before any is sent
	for i, g := range groups {
		for set := g.Set; len(set) > 0 || batches[i] == nil; {
			some := set[:min(len(set), leasesAtOnce)]
			set = set[len(some):]
			next := batch{args: make([]any, 0, 5*len(some))}
			for _, c := range some {
				tell, err := leaseArgs(c, true)
				if err != nil {
					return nil, fmt.Errorf("set leases: %w", err)
				}
				next.args = append(next.args, c.Member, c.Holder, c.Value, c.Keep, tell)
				next.size += len(tell) + len(c.Value) + 100
			}
			batches[i] = append(batches[i], next)
		}
	}
	asked := make([][]*op, len(groups))
	for i, g := range groups {
		part := b.part(g.Group)
		members, ends, channel := b.leaseKeys(part, g.Group)
		for _, next := range batches[i] {
			args := append([]any{"evalsha", setLeasesScript.sha, 3, members, ends, channel, max(ttl.Milliseconds(), 1), b.announce, hub.MostTold}, next.args...)
			asked[i] = append(asked[i], b.send(ctx, part, setLeasesScript, next.size, args...))
		}
	}
	states := make([]hub.LeaseState, len(groups))
	for i, g := range groups {
		for _, o := range asked[i] {
			v, err := o.wait(ctx)
			if err != nil {
				return nil, fmt.Errorf("set leases: %w", err)
			}
			vs, _ := v.([]any)
			if len(vs) != 2 {
				return nil, fmt.Errorf("set leases: %w", errAnswer)
			}
			values, _ := vs[0].([]any)
			for _, value := range values {
				text, _ := value.(string)
				states[i].Values = append(states[i].Values, text)
			}
			if states[i].Ended, err = leases(g.Group, vs[1]); err != nil { // those of the last batch: it knows all that were renewed
				return nil, fmt.Errorf("set leases: %w", err)
			}
		}
		if len(states[i].Values) != len(g.Set) {
			return nil, fmt.Errorf("set leases: %w", errAnswer)
		}
	}
	return states, nil
}

// leases reads members with their ends and values, one after the other.
func leases(group string, v any) ([]hub.Lease, error) {
	vs, ok := v.([]any)
	if !ok || len(vs)%3 != 0 {
		return nil, errAnswer
	}
	var ls []hub.Lease
	for i := 0; i < len(vs); i += 3 {
		member, ok := vs[i].(string)
		end, ok2 := vs[i+1].(int64)
		value, ok3 := vs[i+2].(string)
		if !ok || !ok2 || !ok3 {
			return nil, errAnswer
		}
		ls = append(ls, hub.Lease{Group: group, Member: member, Value: value, Ends: omni.Millis(end)})
	}
	return ls, nil
}

// DropLeases implements hub.Bus.
func (b *Bus) DropLeases(ctx context.Context, drops []hub.LeaseChange) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("drop leases: %w", err)
	}
	byGroup := map[string][]any{}
	for _, c := range drops {
		tell, err := leaseArgs(c, false)
		if err != nil {
			return fmt.Errorf("drop leases: %w", err)
		}
		byGroup[c.Group] = append(byGroup[c.Group], c.Member, c.Holder, tell)
	}
	var asked []*op
	for group, args := range byGroup {
		part := b.part(group)
		members, ends, channel := b.leaseKeys(part, group)
		for len(args) > 0 {
			some := args[:min(len(args), 3*leasesAtOnce)]
			args = args[len(some):]
			all := append([]any{"evalsha", dropLeasesScript.sha, 3, members, ends, channel, b.announce, hub.MostTold}, some...)
			asked = append(asked, b.send(ctx, part, dropLeasesScript, 64*len(some), all...))
		}
	}
	for _, o := range asked {
		if _, err := o.wait(ctx); err != nil {
			return fmt.Errorf("drop leases: %w", err)
		}
	}
	return nil
}

// Leases implements hub.Bus.
func (b *Bus) Leases(ctx context.Context, group string) ([]hub.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list leases of %s: %w", group, err)
	}
	part := b.part(group)
	members, ends, _ := b.leaseKeys(part, group)
	v, err := b.send(ctx, part, leasesScript, 256, "evalsha", leasesScript.sha, 2, members, ends).wait(ctx)
	if err != nil {
		return nil, fmt.Errorf("list leases of %s: %w", group, err)
	}
	ls, err := leases(group, v)
	if err != nil {
		return nil, fmt.Errorf("list leases of %s: %w", group, err)
	}
	return ls, nil
}

// leaseHead is the beginning of the scripts that know leases. A group is a hash of its members, each with its holders,
// when their leases end, and its value:
//
//	<holder> <end> <holder> <end> \n<value>
//
// and a sorted set that says when the last of a member's leases ends. Both expire a minute after the last of all: what
// nobody looked at until then nobody needs to be told.
const leaseHead = `
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local function held(text, but)
  local list, value = string.match(text, '^([^\n]*)\n(.*)$')
  local left, last = '', 0
  for holder, e in string.gmatch(list, '(%S+) (%d+)') do
    local ends = tonumber(e)
    if holder ~= but and ends > now then
      left = left .. holder .. ' ' .. e .. ' '
      last = math.max(last, ends)
    end
  end
  return left, last, value
end
local function list(members)
  local r = {}
  for i = 1, #members, 2 do
    local text = redis.call('HGET', KEYS[1], members[i])
    if text then
      r[#r + 1] = members[i]
      r[#r + 1] = tonumber(members[i + 1])
      r[#r + 1] = string.match(text, '\n(.*)$')
    end
  end
  return r
end
`

// setLeasesScript answers the members' values, and the members that have ended with their ends and values.
var setLeasesScript = newScript(leaseHead + `
local till, values = now + tonumber(ARGV[1]), {}
for i = 4, #ARGV, 5 do
  local member, holder, value, tell = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local old, left, last, known = redis.call('HGET', KEYS[1], member), '', 0, nil
  if old then
    left, last, known = held(old, holder)
    if ARGV[i + 3] == '1' then value = known end
  end
  redis.call('HSET', KEYS[1], member, left .. holder .. ' ' .. string.format('%d', till) .. ' \n' .. value)
  redis.call('ZADD', KEYS[2], math.max(last, till), member)
  values[#values + 1] = value
  if tell ~= '' and known ~= value and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[3]) then redis.call(ARGV[2], KEYS[3], tell) end
end
if #values > 0 then
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  local keep = tonumber(last[2]) - now + 60000
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[2], keep)
end
return {values, list(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 100))}
`)

// dropLeasesScript ends leases. It answers nothing.
var dropLeasesScript = newScript(leaseHead + `
for i = 3, #ARGV, 3 do
  local member, tell = ARGV[i], ARGV[i + 2]
  local old = redis.call('HGET', KEYS[1], member)
  if old then
    local left, last, value = held(old, ARGV[i + 1])
    if left ~= '' then
      redis.call('HSET', KEYS[1], member, left .. '\n' .. value)
      redis.call('ZADD', KEYS[2], last, member)
    else
      if tell ~= '' and redis.call('HLEN', KEYS[1]) <= tonumber(ARGV[2]) then redis.call(ARGV[1], KEYS[3], tell) end
      redis.call('HDEL', KEYS[1], member)
      redis.call('ZREM', KEYS[2], member)
    end
  end
end
return 1
`)

// leasesScript answers the members that are there, with their ends and values.
var leasesScript = newScript(leaseHead + `
return list(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%d', now), '+inf', 'WITHSCORES'))
`)
