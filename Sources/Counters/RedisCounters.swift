import EventLoop
import Logging
import Policy

/// Counts hits in Redis, or without it while it is lost: one store's side of it.
final class RedisCounters {
    private let backend: RedisBackend
    private let loop: EventLoop
    private let logger: Logger
    private let waiter: Waiter
    private let lookup: HostLookup

    private let keys: RecentKeys<CountedKey>
    private var connection: RedisConnection?
    private var connectionsMade = 0
    private var isStopping = false
    /// Whether the backend was told that this store can't ask Redis.
    private var isOut = false
    private var lastLoss = "not connected yet"
    /// The time, as the last caller gave it.
    private var unixMilliseconds: Int64 = 0
    /// Of the hits being answered for want of a count in time: how many were refused. Nil while none are being answered.
    private var refusedLate: Int?

    init(_ backend: RedisBackend, loop: EventLoop, logger: Logger) {
        self.backend = backend
        self.loop = loop
        self.logger = logger
        waiter = Waiter(loop: loop)
        lookup = HostLookup(backend.address.place)
        keys = RecentKeys(capacity: backend.limits.rememberedKeys)
    }

    // MARK: Counting

    func hit(_ keyPrefix: Span<UInt8>, _ window: Window, _ now: Int64, _ hit: WaitingHit) -> CountOutcome {
        unixMilliseconds = now
        let key = key(keyPrefix, window.number(atMilliseconds: now))
        guard let connection, connection.isUsable else {
            if connection == nil { goOut(because: lastLoss) }
            return .done(countWithoutRedis(key, window, now))
        }
        connection.collect(hit, key, window, unixMilliseconds: now)
        return .pending
    }

    func giveBack(_ keyPrefix: Span<UInt8>, _ window: Window, _ number: Int64, isFallback: Bool) {
        if isFallback {
            backend.fallback.giveBack(keyPrefix, number: number)
            if let refused = refusedLate { refusedLate = refused + 1 }
        } else {
            connection?.collectGivenBack(1, key(keyPrefix, number), window, number, unixMilliseconds: unixMilliseconds)
        }
    }

    private func key(_ prefix: Span<UInt8>, _ number: Int64) -> CountedKey {
        let hash = KeyHash(prefix)
        if let key = keys.find(prefix, hash: hash) { return key }
        let key = CountedKey(key: prefix.array, number: number)
        keys.insert(key, hash: hash)
        return key
    }

    private func countWithoutRedis(_ key: CountedKey, _ window: Window, _ now: Int64) -> CountResult {
        guard backend.onFailure == .local else { return .unavailable(backend.onFailure) }
        let floor = key.seen(from: window.number(atMilliseconds: now))
        let prefix = key.key
        let (counts, number) = backend.fallback.hit(
            prefix.span, window: window, nowUnixMilliseconds: now, startingFrom: floor)
        return .counted(counts, number: number, isFallback: true)
    }

    /// Answers the hits of a batch that Redis didn't count, or not in time.
    ///
    /// - Returns: how many of them Redis is not to keep, if it counted them nevertheless: all that were refused.
    func answerWithoutRedis(_ batch: inout HitBatch) -> Int {
        let (key, window, now) = (batch.key, batch.window, batch.unixMilliseconds)
        refusedLate = 0
        batch.answerEach { hit, _ in hit.receiver.counted(ticket: hit.ticket, countWithoutRedis(key, window, now)) }
        let refused = refusedLate ?? 0
        refusedLate = nil
        return backend.onFailure == .deny ? batch.hitCount : refused
    }

    // MARK: The connection

    func connect() async {
        guard connection == nil else { return }
        connectionsMade += 1
        do throws(RedisFailure) {
            let places = try await lookup.addresses(
                on: waiter, timeoutMilliseconds: backend.limits.handshakeMilliseconds, unless: { self.isStopping })
            connection = try await RedisConnection.open(
                backend, at: places, for: self, epoch: connectionsMade, on: waiter, unless: { self.isStopping })
            comeBack()
        } catch {
            goOut(because: error.description)
        }
    }

    func maintain() async {
        let pauses = backend.limits.reconnectMilliseconds
        var pause = pauses.lowerBound
        while !isStopping {
            let start = loop.nowMilliseconds
            await connect()
            if let connection {
                lastLoss = await connection.serve(unless: { self.isStopping })
                self.connection = nil
            }
            guard !isStopping else { return }
            if loop.nowMilliseconds - start > pauses.upperBound {
                pause = pauses.lowerBound
            } else {
                await waiter.sleep(milliseconds: Int64.random(in: pause / 2...pause), unless: { self.isStopping })
                pause = min(pause * 2, pauses.upperBound)
            }
        }
    }

    func stop() {
        isStopping = true
        loop.wakeAll()
    }

    func goOut(because reason: String) {
        guard !isOut, !isStopping else { return }
        isOut = true
        backend.storeIsOut(because: reason, logger)
    }

    func comeBack() {
        guard isOut else { return }
        isOut = false
        backend.storeIsBack(logger)
    }
}
