-- A tenant's account, the twin of tenant.rs: one call is one atomic change, and the same calls at the same times get the same replies.
-- KEYS    state   hash: buckets, counts of streams by route, windows of budgets; `until`: when these four keys may expire, in seconds
--         open    zset: id of a reservation -> when it runs out, in microseconds
--         held    hash: id -> what is held, of those in open and of those in late that ran out
--         late    zset: id -> when it is forgotten, in microseconds: those that ran out, and what was charged without a reservation
-- ARGV    operation, time in microseconds (empty: Redis' own; tests set it), then as script.rs writes it, which also reads the replies.
--
-- Numbers are doubles, exact up to 2^53 = 9.007e15. A bucket's times are pairs, whole seconds and parts of a second of 1/(1e6 * amount) each.
-- In that unit a microsecond is `amount` parts and a token takes `period * 1e6` parts to come back, so nothing is ever rounded. With amount
-- and burst < 2^32, period <= 86400, costs <= 1e9, debts <= 1e10 tokens and the time before the year 2255 the largest values are
--   parts + parts       < 2 * 1e6 * 2^32          = 8.6e15
--   tokens * period     <= (2^32 + 1.1e10) * 86400 = 1.4e15    (a backlog at its highest, and one more cost)
--   parts * period      <= 8.64e10 * 86400        = 7.5e15    (a rule that changed)
--   used + cost         <= 2^53 - 1 + 1e9, which is compared with what is below 2^53 and so rounded to the right side of it.
-- floor(a / b), ceil(a / b) and a % b are right for whole numbers under 2^53, for a quotient that is not whole is at least 1/b away from one,
-- which is more than a double's rounding.
local MICROS, LATE, MARGIN, BATCH, DEBT_MAX, USED_MAX = 1000000, 600, 60, 100, 1e10, 9007199254740991
local state_key, open_key, held_key, late_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local format, match, gmatch = string.format, string.match, string.gmatch

local at = 2
local function arg()
  at = at + 1
  return ARGV[at]
end
local function number()
  at = at + 1
  return tonumber(ARGV[at])
end

local now, micros
if ARGV[2] == '' then
  local time = redis.call('TIME')
  now, micros = tonumber(time[1]), tonumber(time[2])
else
  now, micros = floor(tonumber(ARGV[2]) / MICROS), tonumber(ARGV[2]) % MICROS
end
local clock = now * MICROS + micros

-- A key of another type, which only a person can have made, is as good as none.
local function read(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    redis.call('DEL', key)
    reply = redis.call(command, key, ...)
  end
  return reply
end

-- The state: texts as they are stored, cells as they are meant, and those to be written.
-- `need` is until when the keys are needed, `made` says which of them are new.
local texts, cells, changed, need, made = {}, {}, {}, 0, {}

local function load(...)
  local fields = {...}
  for index, text in ipairs(read('HMGET', state_key, ...)) do
    texts[fields[index]] = text
  end
end

local function text(field)
  if texts[field] == nil then
    load(field)
  end
  return texts[field] or ''
end

local function touch(cell)
  if not cell.touched then
    cell.touched = true
    changed[#changed + 1] = cell
  end
end

local function later(s1, n1, s2, n2)
  return s1 > s2 or (s1 == s2 and n1 > n2)
end

-- How long whole tokens, and parts on top, take to come back.
local function span(rule, tokens, parts)
  local whole = tokens * rule.period
  local rest = (whole % rule.amount) * MICROS + parts
  return floor(whole / rule.amount) + floor(rest / rule.unit), rest % rule.unit
end

-- A bucket's backlog with so many tokens more, or fewer.
local function plus(cell, tokens)
  local s, n = span(cell, math.abs(tokens), 0)
  if tokens < 0 then
    s, n = cell.s - s, cell.n - n
    if n < 0 then
      s, n = s - 1, n + cell.unit
    end
    if s < 0 then
      return 0, 0
    end
    return s, n
  end
  s, n = cell.s + s, cell.n + n
  if n >= cell.unit then
    s, n = s + 1, n - cell.unit
  end
  return s, n
end

local function add(cell, tokens)
  local s, n = plus(cell, tokens)
  if tokens > 0 then
    local most_s, most_n = span(cell, cell.burst + DEBT_MAX, 0)
    if later(s, n, most_s, most_n) then
      s, n = most_s, most_n
    end
  end
  cell.s, cell.n = s, n
  touch(cell)
end

-- A bucket under the rule that it was last used with, its backlog as of now.
local function bucket(field)
  local cell = cells[field]
  if cell == nil then
    local s, n, amount, period, burst, written = match(text(field), '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    cell = false
    if s and tonumber(amount) > 0 and tonumber(period) > 0 then
      cell = {kind = 'B', field = field, amount = tonumber(amount), period = tonumber(period), burst = tonumber(burst)}
      cell.unit = cell.amount * MICROS
      s, n, written = tonumber(s) - now, tonumber(n) - micros * cell.amount, tonumber(written)
      if written > now then
        -- The clock was set back: nobody waits longer for it.
        s = s - (written - now)
        touch(cell)
      end
      if n < 0 then
        s, n = s - 1, n + cell.unit
      end
      if s < 0 then
        s, n = 0, 0
      end
      cell.s, cell.n = s, n
    end
    cells[field] = cell
  end
  return cell
end

-- The bucket of a line, under the line's rule.
local function ruled(line)
  local cell = bucket(line.field)
  if not cell then
    cell = {kind = 'B', field = line.field, amount = line.amount, period = line.period, burst = line.burst, unit = line.unit, s = 0, n = 0}
    cell.fresh = true
    cells[line.field] = cell
  elseif cell.amount ~= line.amount or cell.period ~= line.period or cell.burst ~= line.burst then
    -- The tokens that are out stay out, at most all that there are, and come back at the new rate.
    local spent = cell.s * cell.amount + floor(cell.n / MICROS)
    local tokens = floor(spent / cell.period)
    local parts = (spent % cell.period) * MICROS + cell.n % MICROS
    parts = ceil(parts * line.period / cell.period)
    cell.amount, cell.period, cell.burst, cell.unit = line.amount, line.period, line.burst, line.unit
    if tokens >= cell.burst then
      tokens, parts = cell.burst, 0
    end
    cell.s, cell.n = span(cell, tokens, parts)
    touch(cell)
  end
  return cell
end

-- How many of a route's streams are held.
local function streams(field)
  local cell = cells[field]
  if not cell then
    cell = {kind = 'S', field = field, count = tonumber(match(text(field), '^%d+$') or '0')}
    cells[field] = cell
  end
  return cell
end

local function window(field)
  local cell = cells[field]
  if cell == nil then
    local start, used = match(text(field), '^(-?%d+) (%d+)$')
    cell = start and {kind = 'W', field = field, start = tonumber(start), used = tonumber(used)} or false
    cells[field] = cell
  end
  return cell
end

-- The window that is counted now, and which of the line's three it is. They follow each other, so it is the last that has begun.
local function current(line)
  local index = 1
  while index < 3 and now >= line.starts[index + 1] do
    index = index + 1
  end
  local cell = window(line.field)
  if not cell or cell.start < line.starts[index] then
    cell = {kind = 'W', field = line.field, start = line.starts[index], used = 0, fresh = true}
    cells[line.field] = cell
  else
    -- A later one has begun before: the clock was set back, and it goes on.
    while index < 3 and cell.start > line.starts[index] do
      index = index + 1
    end
  end
  cell.ends = line.ends[index]
  return cell, index
end

local function use(cell, amount)
  cell.used = max(min(cell.used + amount, USED_MAX), 0)
  touch(cell)
end

-- What is held of a reservation: a word list, `B field charged seen`, `W field charged seen start` or `S field`.
local function parse(words)
  local items, next_word = {}, gmatch(words, '%S+')
  for kind in next_word do
    local item = {kind = kind, field = next_word()}
    if kind ~= 'S' then
      item.charged, item.seen = tonumber(next_word()), tonumber(next_word())
    end
    if kind == 'W' then
      item.start = tonumber(next_word())
    end
    items[#items + 1] = item
  end
  return items
end

local function write(items)
  local words = {}
  for index, item in ipairs(items) do
    if item.kind == 'S' then
      words[index] = 'S ' .. item.field
    elseif item.kind == 'B' then
      words[index] = format('B %s %.0f %.0f', item.field, item.charged, item.seen)
    else
      words[index] = format('W %s %.0f %.0f %.0f', item.field, item.charged, item.seen, item.start)
    end
  end
  return table.concat(words, ' ')
end

-- Changes what an item is charged. A bucket or a window that is gone, or is another one by now, stays as it is.
local function correct(item, truth)
  local amount = truth - item.charged
  item.charged = truth
  if amount == 0 then
    return
  end
  if item.kind == 'B' then
    local cell = bucket(item.field)
    if cell then
      add(cell, amount)
    end
  else
    local cell = window(item.field)
    if cell and cell.start == item.start then
      use(cell, amount)
    end
  end
end

local function slot(field, change)
  local cell = streams(field)
  cell.count = max(cell.count + change, 0)
  touch(cell)
end

local function remember(id)
  redis.call('ZADD', late_key, clock + LATE * MICROS, id)
  need = max(need, now + LATE + 1)
  made[late_key] = redis.call('ZCARD', late_key) == 1
end

local function reopen(id, ttl)
  redis.call('ZADD', open_key, clock + ttl * MICROS, id)
  need = max(need, now + ttl + LATE + 1)
  if redis.call('ZCARD', open_key) == 1 then
    made[open_key], made[held_key] = true, true
  end
end

-- Reservations that nobody refreshed: what they were seen to use stays charged, the rest and the slot are given back.
local function reap(ttl)
  if ttl then
    -- Nothing runs out later than one that begins now, whatever the clock said before it was set back.
    for _, id in ipairs(read('ZRANGEBYSCORE', open_key, format('(%.0f', clock + ttl * MICROS), '+inf', 'LIMIT', 0, BATCH)) do
      redis.call('ZADD', open_key, clock + ttl * MICROS, id)
    end
  end
  for _, id in ipairs(read('ZRANGEBYSCORE', open_key, '-inf', clock, 'LIMIT', 0, BATCH)) do
    local words = read('HGET', held_key, id)
    if words then
      local items = parse(words)
      for _, item in ipairs(items) do
        if item.kind == 'S' then
          slot(item.field, -1)
        else
          correct(item, item.seen)
        end
      end
      redis.call('HSET', held_key, id, write(items))
    end
    redis.call('ZREM', open_key, id)
    remember(id)
  end
  for _, id in ipairs(read('ZRANGEBYSCORE', late_key, '-inf', clock, 'LIMIT', 0, BATCH)) do
    redis.call('ZREM', late_key, id)
    redis.call('HDEL', held_key, id)
  end
end

-- Lower-case kinds are charged for good, the others are held.
local function read_line()
  local line = {field = arg(), kind = arg(), cost = number()}
  line.held = match(line.kind, '%u') ~= nil
  line.kind = string.upper(line.kind)
  if line.kind == 'B' then
    line.amount, line.period, line.burst = number(), number(), number()
    line.unit = line.amount * MICROS
  elseif line.kind == 'T' or line.kind == 'S' then
    line.max = number()
  elseif line.kind == 'W' then
    line.amount, line.stops = number(), number() == 1
    line.starts, line.ends = {}, {}
    for index = 1, 3 do
      line.starts[index], line.ends[index] = number(), number()
    end
  end
  return line
end

-- Charges a line. What is held must have a bucket or a window, so that it can be corrected.
local function take(line, cost)
  if line.kind == 'B' then
    local cell = ruled(line)
    if cost > 0 then
      add(cell, cost)
    elseif cell.fresh then
      touch(cell)
    end
  elseif line.kind == 'S' then
    slot(line.field, 1)
  elseif line.kind == 'W' then
    use(current(line), cost)
  end
end

-- Holds what was charged, under the id. The tenant's own streams are counted by the ids alone.
local function hold(id, ttl, lines, seen)
  local items = {}
  for index, line in ipairs(lines) do
    if line.held and line.kind ~= 'T' and line.kind ~= 'N' then
      local start = line.kind == 'W' and current(line).start
      items[#items + 1] = {kind = line.kind, field = line.field, charged = line.cost, seen = seen and seen[index] or 0, start = start}
    end
  end
  redis.call('HSET', held_key, id, write(items))
  reopen(id, ttl)
end

local function admit()
  local id, ttl, holds, lines, fields = arg(), number(), number() == 1, {}, {'until'}
  while at < #ARGV do
    local line = read_line()
    lines[#lines + 1], fields[#fields + 1] = line, line.field
  end
  load(unpack(fields))
  local allowed, open = 1, 0
  if holds then
    reap(ttl)
    open = read('ZCARD', open_key)
  end
  for _, line in ipairs(lines) do
    line.ok = false
    if line.kind == 'B' then
      local cell = ruled(line)
      local full_s, full_n = span(cell, cell.burst, 0)
      local s, n = plus(cell, min(line.cost, cell.burst))
      line.ok = line.cost == 0 or not later(s, n, full_s, full_n)
    elseif line.kind == 'T' then
      line.ok = open < line.max
    elseif line.kind == 'S' then
      local cell = streams(line.field)
      -- Never more than the tenant's: what an evicted key has forgotten heals here.
      cell.count = min(cell.count, open)
      line.ok = cell.count < line.max
    elseif line.kind == 'W' then
      local used = current(line).used
      line.ok = line.cost == 0 or (line.stops and used < line.amount) or (not line.stops and used + line.cost <= line.amount)
    end
    if not line.ok then
      allowed = 0
    end
  end
  if allowed == 1 then
    for _, line in ipairs(lines) do
      take(line, line.cost)
    end
    if holds then
      hold(id, ttl, lines)
      open = open + 1
    end
  end
  local reply = {allowed, clock}
  for _, line in ipairs(lines) do
    local a, b = 0, 0
    if line.kind == 'B' then
      local cell = ruled(line)
      a, b = cell.s, cell.n
    elseif line.kind == 'T' then
      a = open
    elseif line.kind == 'S' then
      a = streams(line.field).count
    elseif line.kind == 'W' then
      local cell, index = current(line)
      a, b = cell.used, index - 1
    end
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = line.ok and 1 or 0, a, b
  end
  return reply
end

-- Ends a reservation, if the id names one: what it used replaces what it is charged. Returns whether it was open, or ran out before.
local function close(id, truths)
  local was_open = read('ZREM', open_key, id) == 1
  if not was_open and read('ZREM', late_key, id) == 0 then
    return false
  end
  local words = read('HGET', held_key, id)
  if words then
    for _, item in ipairs(parse(words)) do
      if item.kind ~= 'S' then
        correct(item, truths[item.field] or item.charged)
      elseif was_open then
        slot(item.field, -1)
      end
    end
    redis.call('HDEL', held_key, id)
  end
  return true
end

local function settle()
  local id, truths = arg(), {}
  while at < #ARGV do
    local field = arg()
    truths[field] = number()
  end
  reap()
  return {close(id, truths) and 1 or 0}
end

local function charge()
  local id, lines, truths = arg(), {}, {}
  while at < #ARGV do
    local line = read_line()
    lines[#lines + 1], truths[line.field] = line, line.cost
  end
  reap()
  local known = close(id, truths)
  if not known then
    for _, line in ipairs(lines) do
      if line.kind == 'B' or line.kind == 'W' then
        take(line, line.cost)
      end
    end
  end
  remember(id)
  return {known and 0 or 1}
end

-- One request that still runs. Returns whether it was known.
local function renew(id, ttl, adopt, lines, seen)
  local words = read('HGET', held_key, id)
  local is_open = read('ZSCORE', open_key, id)
  if not is_open then
    if not read('ZSCORE', late_key, id) then
      if adopt then
        for index, line in ipairs(lines) do
          line.cost = max(line.cost, line.held and seen[index] or 0)
          take(line, line.cost)
        end
        hold(id, ttl, lines, seen)
      end
      return 0
    elseif not words then
      return 1
    end
    redis.call('ZREM', late_key, id)
  end
  reopen(id, ttl)
  if words then
    local of, items = {}, parse(words)
    for index, line in ipairs(lines) do
      of[line.field] = seen[index]
    end
    for _, item in ipairs(items) do
      if item.kind == 'S' then
        if not is_open then
          slot(item.field, 1)
        end
      else
        item.seen = max(item.seen, of[item.field] or 0)
        if item.seen > item.charged then
          correct(item, item.seen)
        end
      end
    end
    redis.call('HSET', held_key, id, write(items))
  end
  return 1
end

local function refresh()
  local ttl, count, reply = number(), number(), {}
  reap(ttl)
  for _ = 1, count do
    local id, adopt, lines, seen = arg(), number() == 1, {}, {}
    for index = 1, number() do
      lines[index] = adopt and read_line() or {field = arg()}
      seen[index] = number()
    end
    reply[#reply + 1] = renew(id, ttl, adopt, lines, seen)
  end
  while at < #ARGV do
    local cell, index = current(read_line())
    reply[#reply + 1], reply[#reply + 2] = cell.used, index - 1
  end
  return reply
end

local reply = ({admit = admit, settle = settle, refresh = refresh, charge = charge})[ARGV[1]]()

local writes = {}
for _, cell in ipairs(changed) do
  local value
  if cell.kind == 'B' then
    local s, n = now + cell.s, micros * cell.amount + cell.n
    if n >= cell.unit then
      s, n = s + 1, n - cell.unit
    end
    value = format('%.0f %.0f %.0f %.0f %.0f %.0f', s, n, cell.amount, cell.period, cell.burst, now)
    need = max(need, s + 1)
  elseif cell.kind == 'S' then
    value = format('%.0f', cell.count)
  else
    value = format('%.0f %.0f', cell.start, cell.used)
    need = max(need, cell.ends or 0)
  end
  writes[#writes + 1], writes[#writes + 2] = cell.field, value
end
if need > 0 then
  need = max(need, now + 1)
  -- The four keys live as long as one of them is needed, and a minute more, so that this moves on once a minute and not at each call.
  local lasts = tonumber(match(text('until'), '^%d+$') or '0')
  if need > lasts then
    lasts = min(need, now + 1e9) + MARGIN
    writes[#writes + 1], writes[#writes + 2] = 'until', format('%.0f', lasts)
    made = {[state_key] = true, [open_key] = true, [held_key] = true, [late_key] = true}
  end
  if #writes > 0 then
    redis.call('HSET', state_key, unpack(writes))
  end
  for key, new in pairs(made) do
    if new then
      redis.call('PEXPIRE', key, format('%.0f', (lasts - now) * 1000))
    end
  end
elseif #writes > 0 then
  redis.call('HSET', state_key, unpack(writes))
end
return reply
