import EventLoop
import HTTPMessage

extension Exchange {
    /// Sends the request to an upstream and its answer to the client.
    func forward(_ client: ClientConnection, through service: UpstreamService) async -> AfterExchange {
        let key = service.hashKey(of: self)
        var tried = EndpointSet()
        var mustBeNew = false
        while let index = service.choose(excluding: tried, key: key) {
            let pool = service.pools[index]
            record.endpointIndex = index
            pool.requestCount += 1
            defer { pool.requestCount -= 1 }
            guard let upstream = await connection(from: pool, mustBeNew: mustBeNew, for: client) else {
                // Nothing of the request has been sent, so another endpoint may have it, whatever it is.
                tried.insert(index)
                continue
            }
            appendRequestHead(for: pool.authority, from: client)
            if head.hasBody { consumeHead() }
            upstream.stream.waiter = client.waiter
            let relay = Relay(self, client, upstream)
            let end = await relay.run()
            guard case .staleConnection = end else { return await conclude(end, relay, client, upstream, pool) }
            upstream.stream.close()
            upstreamOutput.clear()
            upstreamInput.clear()
            // Sent again only where that is safe: nobody knows whether the upstream has carried it out (RFC 9110 §9.2.2).
            guard !head.hasBody, head.method.isIdempotent else {
                return await answerUpstreamDown(.upstreamBrokeOff, client)
            }
            // Once: a request that its service dies of must not go through all the connections that there are.
            mustBeNew = true
        }
        return await answerUpstreamDown(.upstreamUnavailable, client)
    }

    private func connection(from pool: UpstreamPool, mustBeNew: Bool, for client: ClientConnection) async -> UpstreamConnection? {
        if !mustBeNew, let idle = pool.takeIdle(now: worker.loop.nowMilliseconds) { return idle }
        return await pool.connect(on: client.waiter)
    }

    private func conclude(
        _ end: Relay.End, _ relay: Relay, _ client: ClientConnection, _ upstream: UpstreamConnection, _ pool: UpstreamPool
    ) async -> AfterExchange {
        record.byteCount = relay.sentByteCount
        if case .complete(let mayReuse) = end, mayReuse {
            pool.giveBack(upstream, now: worker.loop.nowMilliseconds)
        } else {
            upstream.stream.close()
        }
        switch end {
        case .complete: return relay.keepsClient ? .keepAlive : .linger
        case .staleConnection: return .close
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

    /// Ends a response in the middle, so that the client sees that it is not whole: before its announced length or its last
    /// chunk; where the connection's end would be taken for the response's, by a reset.
    private func cutOff(_ reason: ProxyReason, _ relay: Relay) -> AfterExchange {
        record.reason = reason
        return relay.endsWithConnection ? .reset : .close
    }
}
