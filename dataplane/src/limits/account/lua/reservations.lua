
-- What an account needs for what it holds: for all calls but an admission that holds nothing.
if ARGV[1] ~= 'admit' or ARGV[5] == '1' then
  R = {
    slot = function(field, change)
      local cell = A.streams(field)
      cell.count = math.max(cell.count + change, 0)
      cell.touched = true
    end,

    -- Gives tokens back to a bucket, up to full.
    give = function(cell, tokens)
      local s, n = A.span(cell, tokens, 0)
      s, n = cell.s - s, cell.n - n
      if n < 0 then
        s, n = s - 1, n + cell.amount * 1000000
      end
      if s < 0 then
        s, n = 0, 0
      end
      cell.s, cell.n = s, n
      cell.touched = true
    end,

    -- What is held of a reservation is a list of words: `B field charged seen`, `W field charged seen start` or `S field`.
    parse = function(words)
      local items, word = {}, string.gmatch(words, '%S+')
      for kind in word do
        local item = {kind = kind, field = word()}
        if kind ~= 'S' then
          item.charged, item.seen = tonumber(word()), tonumber(word())
        end
        if kind == 'W' then
          item.start = tonumber(word())
        end
        items[#items + 1] = item
      end
      return items
    end,

    -- Neither costs nor starts of windows need more than the 14 digits that `..` writes.
    words = function(items)
      local words = {}
      for index = 1, #items do
        local item = items[index]
        if item.kind == 'S' then
          words[index] = 'S ' .. item.field
        elseif item.kind == 'B' then
          words[index] = 'B ' .. item.field .. ' ' .. item.charged .. ' ' .. item.seen
        else
          words[index] = 'W ' .. item.field .. ' ' .. item.charged .. ' ' .. item.seen .. ' ' .. item.start
        end
      end
      return table.concat(words, ' ')
    end,

    -- Changes what an item is charged. A bucket or a window that is gone, or is another one by now, stays as it is.
    correct = function(item, truth)
      local amount = truth - item.charged
      item.charged = truth
      if amount == 0 then
        return
      end
      if item.kind == 'W' then
        local cell = A.window(item.field)
        if cell and cell.start == item.start then
          A.use(cell, amount)
        end
        return
      end
      local cell = A.bucket(item.field)
      if cell and amount > 0 then
        A.add(cell, amount)
      elseif cell then
        R.give(cell, -amount)
      end
    end,

    remember = function(id)
      redis.call('ZADD', KEYS[4], A.clock + 600000000, id)
      A.need = math.max(A.need, A.now + 601)
      A.made[KEYS[4]] = redis.call('ZCARD', KEYS[4]) == 1
    end,

    reopen = function(id, ttl)
      redis.call('ZADD', KEYS[2], A.clock + ttl * 1000000, id)
      A.need = math.max(A.need, A.now + ttl + 601)
      if redis.call('ZCARD', KEYS[2]) == 1 then
        A.made[KEYS[2]], A.made[KEYS[3]] = true, true
      end
    end,

    -- Reservations that nobody refreshed: what they were seen to use stays charged, the rest and the slot are given back. 100 of a kind a call.
    reap = function(ttl)
      if ttl then
        -- Nothing runs out later than one that begins now, whatever the clock said before it was set back.
        local latest = A.clock + ttl * 1000000
        for _, id in ipairs(A.run('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', latest), '+inf', 'LIMIT', 0, 100)) do
          redis.call('ZADD', KEYS[2], latest, id)
        end
      end
      for _, id in ipairs(A.run('ZRANGEBYSCORE', KEYS[2], '-inf', A.clock, 'LIMIT', 0, 100)) do
        local words = A.run('HGET', KEYS[3], id)
        if words then
          local items = R.parse(words)
          for _, item in ipairs(items) do
            if item.kind == 'S' then
              R.slot(item.field, -1)
            else
              R.correct(item, item.seen)
            end
          end
          A.run('HSET', KEYS[3], id, R.words(items))
        end
        redis.call('ZREM', KEYS[2], id)
        R.remember(id)
      end
      for _, id in ipairs(A.run('ZRANGEBYSCORE', KEYS[4], '-inf', A.clock, 'LIMIT', 0, 100)) do
        redis.call('ZREM', KEYS[4], id)
        redis.call('HDEL', KEYS[3], id)
      end
    end,

    -- Holds what was charged, under the id. The tenant's own streams are counted by the ids alone.
    hold = function(id, ttl, lines)
      local items = {}
      for _, line in ipairs(lines) do
        if line.held and line.kind ~= 'T' then
          local start = line.kind == 'W' and line.cell.start
          items[#items + 1] = {kind = line.kind, field = line.field, charged = line.cost, seen = line.seen, start = start}
        end
      end
      A.run('HSET', KEYS[3], id, R.words(items))
      R.reopen(id, ttl)
    end,

    -- Ends a reservation, if the id names one: what it used replaces what it is charged. Returns whether it was known.
    close = function(id, truths)
      local was_open = A.run('ZREM', KEYS[2], id) == 1
      if not was_open and A.run('ZREM', KEYS[4], id) == 0 then
        return false
      end
      local words = A.run('HGET', KEYS[3], id)
      if words then
        for _, item in ipairs(R.parse(words)) do
          if item.kind ~= 'S' then
            R.correct(item, truths[item.field] or item.charged)
          elseif was_open then
            R.slot(item.field, -1)
          end
        end
        redis.call('HDEL', KEYS[3], id)
      end
      return true
    end,

    settle = function()
      local id, truths = A.arg(), {}
      while A.at < #ARGV do
        local field = A.arg()
        truths[field] = tonumber(A.arg())
      end
      R.reap()
      return {R.close(id, truths) and 1 or 0}
    end,

    charge = function()
      local id, lines, truths = A.arg(), {}, {}
      while A.at < #ARGV do
        local line = A.line()
        lines[#lines + 1], truths[line.field] = line, line.cost
      end
      R.reap()
      local known = R.close(id, truths)
      if not known then
        for _, line in ipairs(lines) do
          if line.kind == 'B' or line.kind == 'W' then
            A.take(line, line.cost)
          end
        end
      end
      R.remember(id)
      return {known and 0 or 1}
    end,

    -- A request that began while the account could not be asked.
    adopt = function(id, ttl, lines)
      for _, line in ipairs(lines) do
        if line.held then
          line.cost = math.max(line.cost, line.seen)
        end
        A.take(line, line.cost)
      end
      R.hold(id, ttl, lines)
    end,

    -- A request that still runs. Returns whether it was known.
    renew = function(id, ttl, adopt, lines)
      local words, is_open = A.run('HGET', KEYS[3], id), A.run('ZSCORE', KEYS[2], id)
      if not is_open then
        if not A.run('ZSCORE', KEYS[4], id) then
          if adopt then
            R.adopt(id, ttl, lines)
          end
          return 0
        elseif not words then
          return 1
        end
        redis.call('ZREM', KEYS[4], id)
      end
      R.reopen(id, ttl)
      if words then
        local seen, items = {}, R.parse(words)
        for _, line in ipairs(lines) do
          seen[line.field] = line.seen
        end
        for _, item in ipairs(items) do
          if item.kind == 'S' then
            if not is_open then
              R.slot(item.field, 1)
            end
          else
            item.seen = math.max(item.seen, seen[item.field] or 0)
            if item.seen > item.charged then
              R.correct(item, item.seen)
            end
          end
        end
        A.run('HSET', KEYS[3], id, R.words(items))
      end
      return 1
    end,

    refresh = function()
      local ttl, count, reply = tonumber(A.arg()), tonumber(A.arg()), {}
      R.reap(ttl)
      for _ = 1, count do
        local id, adopt, lines = A.arg(), A.arg() == '1', {}
        for index = 1, tonumber(A.arg()) do
          lines[index] = adopt and A.line() or {field = A.arg(), seen = 0}
          lines[index].seen = tonumber(A.arg())
        end
        reply[#reply + 1] = R.renew(id, ttl, adopt, lines)
      end
      while A.at < #ARGV do
        local cell, index = A.current(A.line())
        reply[#reply + 1], reply[#reply + 2] = cell.used, index - 1
      end
      return reply
    end,
  }
end

local reply = (A[ARGV[1]] or R[ARGV[1]])()
A.save()
return reply
