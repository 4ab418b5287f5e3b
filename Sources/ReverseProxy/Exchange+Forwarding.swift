import Bytes
import EventLoop
import HTTPMessage

/// What holds for one request on its way to an upstream.
struct Forwarding {
    var waits = WaitLimits()
    /// When its response must be complete, in the loop's milliseconds.
    var deadline = Int64.max
    /// Times that it may still be sent again.
    var retriesLeft = 0
    /// What the upstream's circuit breaker let it through with, where it has one.
    var breakerPass: CircuitBreaker.Pass?

    init() {}

    init(_ waits: WaitLimits, retries: Int, now: Int64) {
        self.waits = waits
        deadline = waits.total.map { now + $0 } ?? .max
        retriesLeft = retries
    }
}

extension Exchange {
    /// Sends the request to an upstream, as soon as that may have one more, and its answer to the client.
    func forwardInTurn(_ client: ClientConnection, through service: UpstreamService) async -> AfterExchange {
        switch await service.enter(client, until: forwarding.deadline) {
        case .admitted(let pass):
            forwarding.breakerPass = pass
            let after = await forward(client, through: service)
            service.leave()
            return after
        case .circuitOpen(let milliseconds):
            return await answerUpstreamClosed(" is unavailable.", .circuitOpen, retryAfterMilliseconds: milliseconds, client)
        case .overloaded:
            return await answerUpstreamClosed(" has too many requests.", .upstreamOverloaded, retryAfterMilliseconds: 1000, client)
        case .clientGone:
            record.reason = .clientGone
            return .close
        case .drainOver:
            record.reason = .drainOver
            return .close
        }
    }

    /// Sends the request to one endpoint of an upstream after the other, as far as that is safe, until one has answered, and the answer
    /// to the client.
    func forward(_ client: ClientConnection, through service: UpstreamService) async -> AfterExchange {
        if worker.isTimed { record.forwardedNanoseconds = Clock.monotonicNanoseconds() }
        let key = service.hashKey(of: self)
        var tried = EndpointSet()
        var (mustBeNew, mayRepeat) = (false, false)
        var outcome = UpstreamOutcome.unknown
        while let index = service.choose(excluding: tried, mayRepeat: mayRepeat, key: key, now: loop.nowMilliseconds) {
            let pool = service.pools[index]
            record.endpointIndex = index
            pool.requestCount += 1
            defer { pool.requestCount -= 1 }
            let upstream: UpstreamConnection
            do throws(ConnectFailure) {
                upstream = try await connection(from: pool, mustBeNew: mustBeNew, for: client)
            } catch {
                service.status.note(error.outcome, at: index, now: loop.nowMilliseconds)
                if error.outcome == .failed { outcome = .failed }
                guard !isOverdue else {
                    tellBreaker(outcome, of: service)
                    return await answerUpstreamTimeout(client)
                }
                guard !client.stream.isBroken else {
                    tellBreaker(.unknown, of: service)
                    record.reason = .clientGone
                    return .close
                }
                // Nothing of the request has been sent, so another endpoint may have it, whatever it is.
                tried.insert(index)
                mayRepeat = false
                continue
            }
            appendRequestHead(for: pool, from: client)
            if head.hasBody { consumeHead() }
            upstream.setWaiter(client.waiter)
            var relay = Relay(self, client, upstream)
            let end = await relay.run(self, client, upstream)
            if service.upstream.ejection != nil { service.status.note(end.outcome(response.status), at: index, now: loop.nowMilliseconds) }
            switch end {
            // From here on, a request that its service dies of must not go through all the connections that there are.
            case .staleConnection where isSafeToSendAgain: mustBeNew = true
            case .answerUnwanted:
                tried.insert(index)
                outcome = .failed
            case .upstreamFailed(.upstreamBrokeOff) where !relay.hasBegunResponse && !relay.hasSentResponse && takeRetry():
                tried.insert(index)
                mustBeNew = true
                outcome = .failed
            case .complete(let mayReuse):
                return conclude(relay, upstream, pool, mayReuse: mayReuse)
            default:
                if service.isGuarded { tellBreaker(end.outcome(response.status), of: service) }
                return await conclude(failed: end, relay, client, upstream)
            }
            upstream.stream.close()
            upstreamOutput.clear()
            upstreamInput.clear()
            output.clear()
            mayRepeat = true
        }
        tellBreaker(outcome, of: service)
        return tried.isEmpty
            ? await answerUpstreamClosed(" is unavailable.", .upstreamUnhealthy, retryAfterMilliseconds: 1000, client)
            : await answerUpstreamDown(.upstreamUnavailable, client)
    }

    private func tellBreaker(_ outcome: UpstreamOutcome, of service: UpstreamService) {
        guard let pass = forwarding.breakerPass else { return }
        service.status.breakerEnded(pass, outcome, now: loop.nowMilliseconds)
    }

    /// Tells the breaker that there is an answer, as soon as it begins: it may take its time, or never end. Where it breaks off, that is
    /// another thing to tell.
    func tellBreakerOfAnswer() {
        guard let index = record.routeIndex else { return }
        tellBreaker(response.status >= 500 ? .serverError : .succeeded, of: worker.routeUpstreams[index])
    }

    /// Whether the time for all of it is over.
    private var isOverdue: Bool { loop.nowMilliseconds >= forwarding.deadline }

    /// Whether it makes no difference if the upstream has carried it out already (RFC 9110 §9.2.2), and all of it is still here.
    private var isSafeToSendAgain: Bool { !head.hasBody && head.method.isIdempotent && !isOverdue }

    /// Whether it may be sent again to another endpoint, or anew to the same one; it counts as that.
    private func takeRetry() -> Bool {
        guard forwarding.retriesLeft > 0, isSafeToSendAgain, !worker.isDrainOver, let index = record.routeIndex,
            worker.routeUpstreams[index].takeRetry(now: loop.nowMilliseconds)
        else { return false }
        forwarding.retriesLeft -= 1
        return true
    }

    /// Whether an answer with this status is dropped, and the request sent again instead.
    func takeRetry(insteadOf status: UInt16) -> Bool {
        guard forwarding.retriesLeft > 0, let index = record.routeIndex, worker.routeUpstreams[index].retries(status) else { return false }
        return takeRetry()
    }

    private func connection(from pool: UpstreamPool, mustBeNew: Bool, for client: ClientConnection) async throws(ConnectFailure) -> UpstreamConnection {
        let now = loop.nowMilliseconds
        if !mustBeNew, let idle = pool.takeIdle(now: now) { return idle }
        let wait = min(forwarding.waits.connect, forwarding.deadline - now)
        return try await pool.connect(
            on: client.waiter, timeoutMilliseconds: wait, taking: worker.handshakes, sending: proxyHeader(for: client))
    }

    /// What tells the upstream whose connection it is; nil where it isn't to be told.
    private func proxyHeader(for client: ClientConnection) -> ByteBuffer? {
        guard let index = record.routeIndex else { return nil }
        let version = worker.configuration.routes[index].upstream.proxyHeader
        guard version != .none else { return nil }
        let header = ByteBuffer(capacity: 128)
        let address = clientAddress(client)
        // Of whom a proxy in front has told the address, nobody knows the port.
        let source = IPAddress(address.span).map { ProxyHeader.End(address: $0, port: origin.client == nil ? client.peer.port : 0) }
        ProxyHeader.append(version, from: source, to: client.peer.arrival.destination, to: header)
        return header
    }

    private func conclude(_ relay: Relay, _ upstream: UpstreamConnection, _ pool: UpstreamPool, mayReuse: Bool) -> AfterExchange {
        record.noteUpstream()
        record.byteCount = relay.sentByteCount
        if mayReuse { pool.giveBack(upstream, now: loop.nowMilliseconds) } else { upstream.stream.close() }
        return relay.keepsClient ? .keepAlive : .linger
    }

    /// Concludes what didn't end as a response does: a failure, or a switch to WebSocket.
    private func conclude(
        failed end: Relay.End, _ relay: Relay, _ client: ClientConnection, _ upstream: UpstreamConnection
    ) async -> AfterExchange {
        record.noteUpstream()
        if case .switched = end { return await tunnel(client, upstream) }
        record.byteCount = relay.sentByteCount
        upstream.stream.close()
        switch end {
        case .staleConnection: return await answerUpstreamDown(.upstreamBrokeOff, client)
        case .complete, .answerUnwanted, .switched: return .close
        case .clientGone:
            record.reason = .clientGone
            return .close
        case .clientTooSlow where !relay.hasSentResponse:
            return await refuse(MessageRefusal(408, "The request's content did not arrive in time."), client)
        case .requestMalformed(let refusal) where !relay.hasSentResponse:
            return await refuse(refusal, client)
        case .upstreamFailed(let reason) where !relay.hasSentResponse:
            return await answerUpstreamDown(reason, client)
        case .upstreamTimeout where !relay.hasSentResponse:
            return await answerUpstreamTimeout(client)
        case .clientTooSlow: return cutOff(.clientTooSlow, relay)
        case .requestMalformed: return cutOff(.requestMalformed, relay)
        case .upstreamFailed(let reason): return cutOff(reason, relay)
        case .upstreamTimeout: return cutOff(.upstreamTimeout, relay)
        case .drainOver: return cutOff(.drainOver, relay)
        }
    }

    /// Carries what follows a handshake, both ways and as it comes.
    private func tunnel(_ client: ClientConnection, _ upstream: UpstreamConnection) async -> AfterExchange {
        consumeHead()
        record.status = 101
        let tunnel = Tunnel(self, client, upstream)
        switch await tunnel.run() {
        case .closed: break
        case .idle: record.reason = .webSocketIdle
        case .drainOver: record.reason = .drainOver
        }
        record.byteCount = tunnel.receivedByteCount
        upstream.stream.close()
        return .close
    }

    /// Ends a response in the middle, so that the client sees that it is not whole: before its announced length or its last
    /// chunk; where the connection's end would be taken for the response's, by a reset.
    private func cutOff(_ reason: ProxyReason, _ relay: Relay) -> AfterExchange {
        record.reason = reason
        return relay.endsWithConnection(self) ? .reset : .close
    }
}
