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
--
-- All is in one table, and what only reservations need is made by A.reservations: to make a function that shares a dozen locals with others
-- takes Lua longer than most of them run.
local A, R
A = {
  at = 2,         -- the argument that was read last
  texts = {},     -- field of the state -> its text, false where there is none
  cells = {},     -- field of the state -> what it means, false where there is none; `touched` if it is to be written
  need = 0,       -- until when the keys are needed, in seconds
  made = {},      -- keys that are new
  now = 0,        -- the time: seconds since 1970, microseconds of this second, and both as microseconds
  micros = 0,
  clock = 0,

  arg = function()
    local at = A.at + 1
    A.at = at
    return ARGV[at]
  end,

  -- A key of another type, which only a person can have made, is as good as none. Any other error ends the call, as redis.call does.
  run = function(command, key, ...)
    local reply = redis.pcall(command, key, ...)
    if type(reply) == 'table' and reply.err then
      if string.find(reply.err, 'WRONGTYPE', 1, true) then
        redis.call('DEL', key)
      end
      return redis.call(command, key, ...)
    end
    return reply
  end,

  load = function(fields)
    for index, text in ipairs(A.run('HMGET', KEYS[1], unpack(fields))) do
      A.texts[fields[index]] = text
    end
  end,

  text = function(field)
    if A.texts[field] == nil then
      A.load({field})
    end
    return A.texts[field] or ''
  end,

  -- How long whole tokens, and parts on top, take to come back.
  span = function(rule, tokens, parts)
    local whole, unit = tokens * rule.period, rule.amount * 1000000
    local rest = (whole % rule.amount) * 1000000 + parts
    return math.floor(whole / rule.amount) + math.floor(rest / unit), rest % unit
  end,

  -- A bucket's backlog with so many tokens more.
  plus = function(cell, tokens)
    local s, n = A.span(cell, tokens, 0)
    s, n = cell.s + s, cell.n + n
    local unit = cell.amount * 1000000
    if n >= unit then
      return s + 1, n - unit
    end
    return s, n
  end,

  -- Takes tokens from a bucket, down to the longest debt.
  add = function(cell, tokens)
    local s, n = A.plus(cell, tokens)
    local most_s, most_n = A.span(cell, cell.burst + 1e10, 0)
    if s > most_s or (s == most_s and n > most_n) then
      s, n = most_s, most_n
    end
    cell.s, cell.n = s, n
    cell.touched = true
  end,

  -- A bucket under the rule that it was last used with, its backlog as of now.
  bucket = function(field)
    local cell = A.cells[field]
    if cell == nil then
      local s, n, amount, period, burst, written = string.match(A.text(field), '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
      cell, amount, period = false, tonumber(amount), tonumber(period)
      if s and amount > 0 and period > 0 then
        cell = {
          kind = 'B', amount = amount, period = period, burst = tonumber(burst),
          s = 0, n = 0, fresh = false, touched = false,
        }
        s, n, written = tonumber(s) - A.now, tonumber(n) - A.micros * amount, tonumber(written)
        if written > A.now then
          -- The clock was set back: nobody waits longer for it.
          s = s - (written - A.now)
          cell.touched = true
        end
        if n < 0 then
          s, n = s - 1, n + amount * 1000000
        end
        if s < 0 then
          s, n = 0, 0
        end
        cell.s, cell.n = s, n
      end
      A.cells[field] = cell
    end
    return cell
  end,

  -- The bucket of a line, under the line's rule.
  ruled = function(line)
    local cell = A.bucket(line.field)
    if not cell then
      cell = {
        kind = 'B', amount = line.amount, period = line.period, burst = line.burst,
        s = 0, n = 0, fresh = true, touched = false,
      }
      A.cells[line.field] = cell
    elseif cell.amount ~= line.amount or cell.period ~= line.period or cell.burst ~= line.burst then
      -- The tokens that are out stay out, at most all that there are, and come back at the new rate.
      local spent = cell.s * cell.amount + math.floor(cell.n / 1000000)
      local tokens = math.floor(spent / cell.period)
      local parts = (spent % cell.period) * 1000000 + cell.n % 1000000
      parts = math.ceil(parts * line.period / cell.period)
      cell.amount, cell.period, cell.burst = line.amount, line.period, line.burst
      if tokens >= cell.burst then
        tokens, parts = cell.burst, 0
      end
      cell.s, cell.n = A.span(cell, tokens, parts)
      cell.touched = true
    end
    return cell
  end,

  window = function(field)
    local cell = A.cells[field]
    if cell == nil then
      local start, used = string.match(A.text(field), '^(-?%d+) (%d+)$')
      cell = start and {kind = 'W', start = tonumber(start), used = tonumber(used), ends = 0, touched = false} or false
      A.cells[field] = cell
    end
    return cell
  end,

  -- The window of a line that is counted now, and which of its three it is; one ends where the next begins. It is the last that has begun.
  current = function(line)
    local index, edges = 1, line.edges
    while index < 3 and A.now >= edges[index + 1] do
      index = index + 1
    end
    local cell = A.window(line.field)
    if not cell or cell.start < edges[index] then
      cell = {kind = 'W', start = edges[index], used = 0, ends = 0, touched = false}
    else
      -- A later one has begun before: the clock was set back, and it goes on.
      while index < 3 and cell.start > edges[index] do
        index = index + 1
      end
    end
    cell.ends = edges[index + 1]
    return cell, index
  end,

  -- 2^53 - 1: as far as doubles are exact.
  use = function(cell, amount)
    cell.used = math.max(math.min(cell.used + amount, 9007199254740991), 0)
    cell.touched = true
  end,

  -- How many of a route's streams are held.
  streams = function(field)
    local cell = A.cells[field]
    if not cell then
      cell = {kind = 'S', count = tonumber(string.match(A.text(field), '^%d+$') or '0'), touched = false}
      A.cells[field] = cell
    end
    return cell
  end,

  -- The next line of the arguments. Lower-case kinds are charged for good, the others are held. All of a table's names stand where it is
  -- made, false where they come later: it would be made anew as it grows.
  line = function()
    local at = A.at
    local field, kind, cost = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
    if kind == 'B' or kind == 'b' then
      A.at = at + 6
      local amount, period, burst = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
      return {
        kind = 'B', field = field, held = kind == 'B', cost = cost, seen = 0,
        amount = amount, period = period, burst = burst, cell = false, ok = false,
      }
    elseif kind == 'W' or kind == 'w' then
      A.at = at + 9
      local edges = {tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9])}
      return {
        kind = 'W', field = field, held = kind == 'W', cost = cost, seen = 0,
        amount = tonumber(ARGV[at + 4]), stops = ARGV[at + 5] == '1', edges = edges, cell = false, index = 0, ok = false,
      }
    elseif kind == 'n' then
      A.at = at + 3
      return {kind = 'N', field = field, held = false, cost = cost, seen = 0, ok = false}
    end
    A.at = at + 4
    return {kind = kind, field = field, held = true, cost = cost, seen = 0, max = tonumber(ARGV[at + 4]), cell = false, ok = false}
  end,

  -- Whether a line lets its cost pass, when the tenant has so many reservations.
  lets = function(line, open)
    local cost = line.cost
    if line.kind == 'B' then
      local cell = A.ruled(line)
      line.cell = cell
      local full_s, full_n = A.span(cell, cell.burst, 0)
      local s, n = A.plus(cell, math.min(cost, cell.burst))
      return cost == 0 or s < full_s or (s == full_s and n <= full_n)
    elseif line.kind == 'W' then
      line.cell, line.index = A.current(line)
      local used = line.cell.used
      return cost == 0 or (line.stops and used < line.amount) or (not line.stops and used + cost <= line.amount)
    elseif line.kind == 'T' then
      return open < line.max
    elseif line.kind == 'S' then
      line.cell = A.streams(line.field)
      -- Never more than the tenant's: what an evicted key has forgotten heals here.
      line.cell.count = math.min(line.cell.count, open)
      return line.cell.count < line.max
    end
    return false
  end,

  -- Charges a line. What is held must have a bucket or a window, so that it can be corrected.
  take = function(line, cost)
    if line.kind == 'B' then
      line.cell = line.cell or A.ruled(line)
      if cost > 0 then
        A.add(line.cell, cost)
      elseif line.cell.fresh then
        line.cell.touched = true
      end
    elseif line.kind == 'W' then
      line.cell = line.cell or A.current(line)
      A.cells[line.field] = line.cell
      A.use(line.cell, cost)
    elseif line.kind == 'S' then
      R.slot(line.field, 1)
    end
  end,

  admit = function()
    local id, ttl, holds, lines, fields = ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1', {}, {'until'}
    A.at = 5
    while A.at < #ARGV do
      local line = A.line()
      lines[#lines + 1], fields[#fields + 1] = line, line.field
    end
    A.load(fields)
    local allowed, open = 1, 0
    if holds then
      R.reap(ttl)
      open = A.run('ZCARD', KEYS[2])
    end
    for index = 1, #lines do
      local line = lines[index]
      line.ok = A.lets(line, open)
      allowed = line.ok and allowed or 0
    end
    if allowed == 1 then
      for index = 1, #lines do
        A.take(lines[index], lines[index].cost)
      end
      if holds then
        R.hold(id, ttl, lines)
        open = open + 1
      end
    end
    local reply, last = {allowed, A.clock}, 2
    for index = 1, #lines do
      local line, a, b = lines[index], 0, 0
      if line.kind == 'B' then
        a, b = line.cell.s, line.cell.n
      elseif line.kind == 'W' then
        a, b = line.cell.used, line.index - 1
      elseif line.kind == 'T' then
        a = open
      elseif line.kind == 'S' then
        a = line.cell.count
      end
      reply[last + 1], reply[last + 2], reply[last + 3] = line.ok and 1 or 0, a, b
      last = last + 3
    end
    return reply
  end,

  -- Writes the cells that changed, and lets the keys live as long as one of them is needed, and a minute more, so that this moves on once a
  -- minute and not at each call.
  save = function()
    local writes, last = {KEYS[1]}, 1
    for field, cell in pairs(A.cells) do
      if cell and cell.touched then
        local value
        if cell.kind == 'B' then
          local s, n, unit = A.now + cell.s, A.micros * cell.amount + cell.n, cell.amount * 1000000
          if n >= unit then
            s, n = s + 1, n - unit
          end
          value = string.format('%.0f %.0f %.0f %.0f %.0f %.0f', s, n, cell.amount, cell.period, cell.burst, A.now)
          A.need = math.max(A.need, s + 1)
        elseif cell.kind == 'S' then
          value = string.format('%.0f', cell.count)
        else
          value = string.format('%.0f %.0f', cell.start, cell.used)
          A.need = math.max(A.need, cell.ends)
        end
        writes[last + 1], writes[last + 2] = field, value
        last = last + 2
      end
    end
    local lasts
    if A.need > 0 then
      lasts = tonumber(string.match(A.text('until'), '^%d+$') or '0')
      if A.need > lasts then
        lasts = math.max(math.min(A.need, A.now + 1e9), A.now) + 60
        writes[last + 1], writes[last + 2] = 'until', string.format('%.0f', lasts)
        last = last + 2
        A.made = {[KEYS[1]] = true, [KEYS[2]] = true, [KEYS[3]] = true, [KEYS[4]] = true}
      end
    end
    if last > 1 then
      redis.call('HSET', unpack(writes))
    end
    for key, new in pairs(A.made) do
      if new then
        redis.call('PEXPIRE', key, string.format('%.0f', (lasts - A.now) * 1000))
      end
    end
  end,
}

if ARGV[2] == '' then
  local time = redis.call('TIME')
  A.now, A.micros = tonumber(time[1]), tonumber(time[2])
else
  A.now, A.micros = math.floor(tonumber(ARGV[2]) / 1000000), tonumber(ARGV[2]) % 1000000
end
A.clock = A.now * 1000000 + A.micros
