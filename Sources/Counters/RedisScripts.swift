/// A script that Redis keeps, and runs by its SHA-1.
///
/// Windows are counted by plain commands, at a third of a script's price to the server that all share. A bucket and a log
/// have to be read, judged and changed in one go. Each works on one key, so that it runs on any node of a cluster; takes the
/// time as an argument; and reckons in whole numbers below 2^53, which Lua's doubles hold exactly.
struct RedisScript: Sendable {
    let source: String
    let sha1: String

    static let all = [bucketHit, bucketGiveBack, logHit, logGiveBack]

    /// How much longer than it matters a key lives, in milliseconds: a clock's offset is known to some milliseconds only.
    private static let spareMilliseconds = 1000

    /// Takes tokens for some hits of one cost, as long as there are enough; see `TokenBucket`. Two numbers are kept: when the
    /// bucket will be full, in milliseconds and parts of one.
    ///
    /// ARGV: now, parts in a millisecond, a hit's refill time (milliseconds, parts), the bucket's (the same), number of hits.
    /// Answers the two numbers as the first hit found them.
    static let bucketHit = RedisScript(source: """
        local now, whole = tonumber(ARGV[1]), tonumber(ARGV[2])
        local hit, hitParts = tonumber(ARGV[3]), tonumber(ARGV[4])
        local empty, emptyParts = now + tonumber(ARGV[5]), tonumber(ARGV[6])
        local full, parts = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
        full, parts = tonumber(full or 0), math.min(tonumber(parts or 0), whole - 1)
        if full < now then full, parts = now, 0 end
        local isChanged = full > empty or full == empty and parts > emptyParts
        if isChanged then full, parts = empty, emptyParts end
        local found = string.format('%.0f %.0f', full, parts)
        for _ = 1, tonumber(ARGV[7]) do
          local after, afterParts = full + hit, parts + hitParts
          if afterParts >= whole then after, afterParts = after + 1, afterParts - whole end
          if after > empty or after == empty and afterParts > emptyParts then break end
          full, parts, isChanged = after, afterParts, true
        end
        if isChanged then
          redis.call('SET', KEYS[1], string.format('%.0f %.0f', full, parts), 'PX', full - now + \(spareMilliseconds))
        end
        return found
        """, sha1: "679a1fb9e4fed75b8294b0278a87b43677ade294")

    /// Puts tokens back. ARGV: now, parts in a millisecond, the refill time of what is given back (milliseconds, parts).
    static let bucketGiveBack = RedisScript(source: """
        local now, whole = tonumber(ARGV[1]), tonumber(ARGV[2])
        local full, parts = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
        if not full then return 0 end
        full, parts = full - tonumber(ARGV[3]), parts - tonumber(ARGV[4])
        if parts < 0 then full, parts = full - 1, parts + whole end
        if full < now or full == now and parts == 0 then
          redis.call('DEL', KEYS[1])
        else
          redis.call('SET', KEYS[1], string.format('%.0f %.0f', full, parts), 'PX', full - now + \(spareMilliseconds))
        end
        return 0
        """, sha1: "6549288e423f1dac658bca1458926a3abc2fe65f")

    /// Remembers some hits of one cost, as long as there is room; see `SlidingLog`. The log is a sorted set: a hit is a member
    /// `id:cost` with its moment for a score, and `used` has the sum of their costs, negative, for one: so a hit looks at no
    /// more members than leave the view.
    ///
    /// ARGV: now, the window in milliseconds, count, a hit's cost, number of hits, the first one's id.
    /// Answers, as the first hit found it: what is used, the newest moment, and when there is room for the first hit without.
    static let logHit = RedisScript(source: """
        local key, now, length, count, cost = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
        local hits, first = tonumber(ARGV[5]), tonumber(ARGV[6])
        local function costOf(member) return tonumber(string.match(member, ':(%d+)$') or 0) end
        local used = -tonumber(redis.call('ZSCORE', key, 'used') or 0)
        local past = redis.call('ZRANGEBYSCORE', key, 0, now - length)
        for _, member in ipairs(past) do used = used - costOf(member) end
        if #past > 0 then redis.call('ZREMRANGEBYSCORE', key, 0, now - length) end
        local newest = math.max(tonumber(redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2] or 0), 0)
        local found = used
        local fitting = math.max(math.min(hits, math.floor((count - used) / cost)), 0)
        for index = 0, fitting - 1 do redis.call('ZADD', key, now, string.format('%.0f:%.0f', first + index, cost)) end
        used = used + fitting * cost
        if fitting > 0 or #past > 0 then
          if used > 0 then redis.call('ZADD', key, -used, 'used') else redis.call('DEL', key) end
        end
        if fitting > 0 then redis.call('PEXPIRE', key, length + \(spareMilliseconds)) end
        local roomAt = 0
        if fitting < hits then
          local excess = used + cost - count
          local oldest = redis.call('ZRANGEBYSCORE', key, 0, '+inf', 'WITHSCORES', 'LIMIT', 0, excess)
          for index = 1, #oldest, 2 do
            excess = excess - costOf(oldest[index])
            if excess <= 0 then roomAt = tonumber(oldest[index + 1]) + length break end
          end
        end
        return string.format('%.0f %.0f %.0f', found, newest, roomAt)
        """, sha1: "b6a58918799a6289140a39173593a84abb8b31ba")

    /// Forgets hits of one cost again. ARGV: a hit's cost, and the ids.
    static let logGiveBack = RedisScript(source: """
        local forgotten = 0
        for index = 2, #ARGV do
          forgotten = forgotten + redis.call('ZREM', KEYS[1], ARGV[index] .. ':' .. ARGV[1]) * tonumber(ARGV[1])
        end
        if forgotten > 0 and tonumber(redis.call('ZINCRBY', KEYS[1], forgotten, 'used')) >= 0 then redis.call('DEL', KEYS[1]) end
        return 0
        """, sha1: "760a38ada32fdcd9af9643deed810b3b5613baf2")

    /// Answers the time of Redis in milliseconds since 1970, as the one number that a reply of TIME is not.
    static let clockSource = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)"
}
