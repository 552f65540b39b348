package redisbus

import (
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	"encoding/hex"
)

type script struct{ source, sha string }

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source)) // #nosec G401 -- how Redis names scripts
	return &script{source, hex.EncodeToString(sum[:])}
}

// luaHead is the beginning of the scripts that know topics.
//
// current returns the first letters of the run id of the server process, which epochs begin with. INFO costs more than
// all the rest of a script, so its answer is kept for half a second in a key beside the topics. After a quick restart
// or failover that key may be believed for so long, and whatever happened meanwhile changes epoch when it no longer is,
// or when the first node that connected anew asks what it missed: then nothing is believed.
//
// Beside it stands the generation that topics are in: all of them begin anew when it changes (renewScript), or when it is
// lost.
//
// topic returns a topic's epoch, offset, bytes of history and when its expiry was last put off, whether it is new, and
// makes it up if there is none of this process: a topic's epoch must not change with its first event.
const luaHead = `
local function current(key, now, nonce, anew)
  local run, at, generation
  local known = redis.call('GET', key)
  if known then
    run, at, generation = string.match(known, '^(%w+) (%d+) (%w+)$')
    if run and not anew and math.abs(tonumber(now) - tonumber(at)) < 500 then return run .. generation .. '.' end
  end
  local this = string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'), 1, 8)
  if this ~= run then generation = nonce end
  redis.call('SET', key, this .. ' ' .. now .. ' ' .. generation)
  return this .. generation .. '.'
end
local function topic(key, run, nonce)
  local h = redis.call('HMGET', key, 'e', 'o', 'b', 'x')
  local e = h[1]
  if not e or string.sub(e, 1, #run) ~= run then return run .. nonce, 0, 0, 0, true end
  return e, tonumber(h[2]), tonumber(h[3]), tonumber(h[4]), false
end
`

// publishScript numbers, keeps and announces an event. It answers epoch and offset. With a key it looks first whether
// that was done already.
//
// What is too old is dropped from the history with every so manieth event only, so the limits are a little exceeded.
var publishScript = newScript(luaHead + `
local run, meta, list, channel = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, nonce, body = ARGV[1], ARGV[2], ARGV[3]
local events, age, most, keep, remember = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local e, o, b, x = topic(meta, current(run, now, nonce), nonce)
if o == 0 then redis.call('DEL', list) end
if ARGV[10] ~= '' and o > 0 then
  local tail = redis.call('LRANGE', list, -512, -1)
  for i = #tail, 1, -1 do
    if string.match(tail[i], '^ %d+ %S+ (%S+)\n') == ARGV[10] then return {e, o - #tail + i} end
  end
end
o = o + 1
local n = redis.call('RPUSH', list, body)
if n == 1 then b = 0 end
b = b + #body + 16
if b > most or (n > events and o % math.min(32, math.ceil(events / 8)) == 0) then
  local oldest, drop, more = tonumber(now) - age, 0, true
  while more do
    local some = redis.call('LRANGE', list, drop, drop + 31)
    more = #some == 32
    for _, old in ipairs(some) do
      if b <= most and (n - drop <= events or tonumber(string.match(old, '^ (%d+)')) >= oldest) then
        more = false
        break
      end
      drop = drop + 1
      b = b - #old - 16
    end
  end
  if drop > 0 then redis.call('LTRIM', list, drop, -1) end
end
if n == 1 or math.abs(tonumber(now) - x) > keep / 4 then
  redis.call('HSET', meta, 'e', e, 'o', o, 'b', b, 'x', now)
  redis.call('PEXPIRE', list, ARGV[7])
  redis.call('PEXPIRE', meta, remember)
else
  redis.call('HSET', meta, 'o', o, 'b', b)
end
redis.call(ARGV[9], channel, string.format('%d', o) .. ' ' .. e .. body)
return {e, o}
`)

// positionsScript answers epoch and offset of each topic, one after the other.
var positionsScript = newScript(luaHead + `
local now, nonce, keep, remember = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local run = current(KEYS[1], now, nonce, ARGV[5] == 'anew')
local r = {}
for i = 2, #KEYS do
  local e, o, b, x, new = topic(KEYS[i], run, nonce)
  if new or math.abs(tonumber(now) - x) > keep / 4 then
    redis.call('HSET', KEYS[i], 'e', e, 'o', o, 'b', b, 'x', now)
    redis.call('PEXPIRE', KEYS[i], remember)
  end
  r[#r + 1] = e
  r[#r + 1] = o
end
return r
`)

// historyScript answers epoch, offset, 1 if the history reaches back to the asked offset, and then the events after it.
var historyScript = newScript(luaHead + `
local meta, list = KEYS[2], KEYS[3]
local now, nonce, since, offset, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local e, o, b, x, new = topic(meta, current(KEYS[1], now, nonce), nonce)
if new then
  redis.call('HSET', meta, 'e', e, 'o', 0, 'b', 0, 'x', now)
  redis.call('PEXPIRE', meta, ARGV[6])
end
local missing = o - offset
if since ~= e or missing < 0 then return {e, o, 0} end
if missing == 0 then return {e, o, 1} end
if missing > redis.call('LLEN', list) then return {e, o, 0} end
if limit <= 0 then return {e, o, 1} end
return {e, o, 1, redis.call('LRANGE', list, -missing, math.min(-1, limit - missing - 1))}
`)

// renewScript has the topics that share a tag begin anew.
var renewScript = newScript(`
local run = string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'), 1, 8)
redis.call('SET', KEYS[1], run .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
return 1
`)

// allowScript is a token bucket by the server's clock. It answers 0, or the microseconds to wait, at least 1.
var allowScript = newScript(`
local n, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local h = redis.call('HMGET', KEYS[1], 't', 'a')
local tokens = burst
if h[1] then tokens = math.min(burst, tonumber(h[1]) + math.max(0, now - tonumber(h[2])) * rate) end
local wait, lack = 0, n - tokens
if lack > 0.000001 then
  wait = math.ceil(lack / rate * 1000000) + 1
else
  tokens = tokens - n
end
redis.call('HSET', KEYS[1], 't', string.format('%.17g', tokens), 'a', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(2592000000, math.ceil((burst - tokens) / rate * 1000) + 1000)))
return wait
`)
