-- One decision of a token bucket, kept as GCRA: the state is the time at which the bucket is full again.
-- KEYS[1] the bucket; ARGV amount, period in seconds, burst. Reply {allowed 0 or 1, seconds, parts}: how long until the
-- bucket is full again, after this decision.
--
-- Numbers in Lua are doubles, exact up to 2^53 = 9.007e15, so a time is a pair: whole seconds, and parts of a second of
-- 1/(1e6 * amount) each. In that unit a microsecond is `amount` parts and a token takes `period * 1e6` parts to come
-- back, so nothing is ever rounded. For amount, burst < 2^32 and period <= 86400 the largest values are
-- parts + parts < 2 * 1e6 * 2^32 = 8.6e15, tokens * period < 3.8e14, and period * 1e6 * period < 7.5e15.
-- floor(a / b) and a % b are right for whole numbers under 2^53, for a quotient short of a whole number is
-- short of it by at least 1/b, which is more than a double's rounding.
local amount, period, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local MICROS = 1000000
local unit = amount * MICROS

-- How long whole tokens, and parts on top, take to come back.
local function span(tokens, parts)
  local whole = tokens * period
  local rest = (whole % amount) * MICROS + parts
  return math.floor(whole / amount) + math.floor(rest / unit), rest % unit
end

local function later(s1, n1, s2, n2)
  return s1 > s2 or (s1 == s2 and n1 > n2)
end

local time = redis.call('TIME')
local now, micros = tonumber(time[1]), tonumber(time[2])
local cap_s, cap_n = span(burst, 0)
local s, n, write = 0, 0, false

-- pcall: a key of another type, which only a person can have made, is overwritten like a strange text.
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'string' then
  local full_s, full_n, was_amount, was_period = string.match(stored, '^(%d+) (%d+) (%d+) (%d+)$')
  if full_s then
    was_amount, was_period = tonumber(was_amount), tonumber(was_period)
    s, n = tonumber(full_s) - now, tonumber(full_n) - micros * was_amount
    if n < 0 then
      s, n = s - 1, n + was_amount * MICROS
    end
    if s < 0 then
      s, n = 0, 0
    elseif was_amount ~= amount or was_period ~= period then
      -- Another limit than last time: the tokens that are out stay out, and come back at the new rate.
      write = true
      local spent = s * was_amount + math.floor(n / MICROS)
      local tokens = math.floor(spent / was_period)
      if tokens >= burst then
        s, n = cap_s, cap_n
      else
        local parts = (spent % was_period) * MICROS + n % MICROS
        s, n = span(tokens, math.ceil(parts * period / was_period))
      end
    end
    -- Never emptier than empty: the burst is smaller than last time, or the clock was set back.
    if later(s, n, cap_s, cap_n) then
      s, n, write = cap_s, cap_n, true
    end
  end
end

local token_s, token_n = span(1, 0)
local next_s, next_n = s + token_s, n + token_n
if next_n >= unit then
  next_s, next_n = next_s + 1, next_n - unit
end
local allowed = 0
if not later(next_s, next_n, cap_s, cap_n) then
  s, n, allowed, write = next_s, next_n, 1, true
end

if write then
  local full_s, full_n = now + s, micros * amount + n
  if full_n >= unit then
    full_s, full_n = full_s + 1, full_n - unit
  end
  -- A full bucket needs no key. Redis takes no expiry beyond its own range, so it is 30 years at most.
  local ttl = math.min(s, 1e9) * 1000 + math.ceil(n / (amount * 1000))
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f %.0f', full_s, full_n, amount, period), 'PX', math.max(ttl, 1))
end
return {allowed, s, n}
