import Bytes
import EventLoop
import HTTP2
import Logging

/// A client's HTTP/2 connection: many exchanges at once, each on a stream (RFC 9113).
///
/// It is moved by whichever task is free when something happens, and so is each stream; what the exchanges write is collected and sent
/// once a turn.
final class HTTP2Connection {
    /// What a client begins an HTTP/2 connection with, as far as HTTP/1 takes it for a head (RFC 9113 §3.4).
    static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\n"
    /// What waits for the kernel, in bytes, before the session stops writing.
    private static let outputBytes = 64 * 1024
    /// Rounds that may move something before the other tasks and sockets have their turn.
    private static let roundsPerTurn = 16
    /// How often in a turn the output is filled and sent.
    private static let flushesPerTurn = 4

    /// What the connection waits for.
    private enum Phase: Equatable {
        /// The client's preface and SETTINGS.
        case greeting
        /// Exchanges run; they have deadlines of their own. The connection's is the time to look for answers that nobody takes.
        case serving
        /// Every exchange is done, and the client has not taken all of their answers.
        case delivering
        case idle
        /// No request is accepted any more, none is under way, and the client has not shown that it knows.
        case leaving
    }

    let client: ClientConnection
    private var worker: WorkerContext { client.worker }
    private let session: ServerSession
    private let input: ByteBuffer
    private let output = ByteBuffer(capacity: 16)
    private let maximumStreams: Int
    /// How many exchanges run: also those whose stream the client has closed already.
    private var runningCount = 0
    private var phase = Phase.greeting
    /// When to look next for answers that the client doesn't take.
    private var nextLookMilliseconds: Int64
    private var sentByteCount = 0
    /// How many streams began when the connection was served last: taken for what it will begin next.
    private var lastBegunCount = 0
    private var willFlush = false
    /// Whether there is more to send than one turn's, and the kernel takes it.
    private var hasMore = false
    private var isLost = false
    var placeWhenIdle: Int?
    /// Whether it was served since ``settle()``.
    private var wasServed = false

    /// - Parameters:
    ///   - client: the connection as a whole.
    ///   - received: what has come of it, its first byte included.
    init(_ client: ClientConnection, received: ByteBuffer) {
        self.client = client
        let worker = client.worker
        let http2 = worker.configuration.http2
        var limits = SessionLimits()
        limits.concurrentStreams = http2.concurrentStreams
        limits.streamWindowBytes = http2.streamWindowBytes
        limits.connectionWindowBytes = max(limits.connectionWindowBytes, http2.streamWindowBytes)
        limits.outputBytes = Self.outputBytes
        // So that the head of a request is judged as one of HTTP/1.1 is: what each field counts on top is no part of that.
        limits.headerListBytes = worker.limits.requestLineBytes + worker.limits.headerBytes + 32 * (worker.limits.headerCount + 8)
        limits.takesExtendedConnect = worker.configuration.routes.contains { $0.allowsWebSocket }
        maximumStreams = http2.concurrentStreams
        input = ByteBuffer(capacity: 16)
        worker.loop.buffers.furnish(input)
        input.append(received.bytes)
        worker.loop.buffers.furnish(output)
        session = ServerSession(limits, output: output, blocks: worker.state.blocks)
        client.waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.head)
        nextLookMilliseconds = worker.loop.nowMilliseconds &+ worker.configuration.timeouts.body
        if !input.isEmpty { session.receive(input, for: self, nowMilliseconds: worker.loop.nowMilliseconds) }
    }

    /// Moves what can be moved, and has the streams served that have come.
    ///
    /// - Returns: whether the connection is over and closed; where not, it rests until something happens on it.
    func serve() async -> Bool {
        wasServed = true
        lastBegunCount = 0
        var rounds = 0
        while true {
            if worker.isDraining { session.drain(for: self) }
            let hasMoved = mayReceive && receive()
            flush()
            // Of a connection that has failed, no stream goes on (RFC 9113 §5.4.1).
            if session.isOver { session.closeStreams(for: self) }
            if hasEnded {
                await close()
                return true
            }
            guard !hasMoved, !hasMore, !mayReceive else {
                rounds &+= 1
                if rounds % Self.roundsPerTurn == 0 { await client.waiter.yieldTurn() }
                continue
            }
            rest()
            return false
        }
    }

    /// Runs the exchange of one stream, which has begun.
    func serve(with exchange: Exchange) async {
        let worker = exchange.worker
        guard let (stream, streamClient) = exchange.streamServed else { preconditionFailure("no stream has begun") }
        if let refusal = stream.refusal {
            _ = await exchange.refuse(unread: refusal, isHead: stream.isHead, streamClient)
        } else {
            _ = await exchange.run(for: streamClient)
        }
        stream.close()
        stream.end()
        streamClient.streamEnded()
        worker.giveBack(exchange)
        runningCount -= 1
        worker.setup.streams.remove()
        // The last one: what the connection waits for changes.
        if runningCount == 0 { client.waiter.wake() }
    }

    /// Closes the connection, gently where the client has yet to read why.
    private func close() async {
        worker.state.idle.remove(self)
        if !isLost, session.ending != nil {
            worker.state.logger.info("HTTP/2 connection ended: \(session.ending ?? "")")
            input.clear()
            await client.linger(input)
        }
        session.closeStreams(for: self)
        client.stream.close()
    }

    // MARK: Bytes

    /// A client that doesn't take what it is sent is not listened to: its frames would be answered into memory. Nor is one that opens
    /// streams on and on when a drain is over.
    private var mayReceive: Bool {
        !isLost && client.stream.isReadable && output.count < Self.outputBytes && !session.isOver && !worker.isDrainOver
    }

    private func receive() -> Bool {
        worker.loop.buffers.furnish(input)
        switch client.stream.receive(into: input) {
        case .received: session.receive(input, for: self, nowMilliseconds: worker.loop.nowMilliseconds)
        case .wouldBlock: return false
        case .ended, .failed: lose()
        }
        return true
    }

    private func lose() {
        isLost = true
        output.clear()
        session.closeStreams(for: self)
    }

    /// Content that its stream has no use for any more: its room belongs to the other streams of the connection (RFC 9113 §6.9).
    func dropContent(_ byteCount: Int) {
        session.consume(byteCount)
        flushAtEndOfTurn()
    }

    /// Has what the exchanges have written sent at the end of this turn.
    func flushAtEndOfTurn() {
        guard !willFlush else { return }
        willFlush = true
        worker.loop.flushAtEndOfTurn(self)
    }

    private func rest() {
        worker.loop.buffers.strip(input)
        worker.loop.buffers.strip(output)
        if phase == .idle {
            session.releaseSpares()
            worker.state.idle.add(self)
        }
        client.waiter.rest(self)
    }

    // MARK: Its end

    /// Whether nothing is left to be served, or the client has made it wait too long.
    private var hasEnded: Bool {
        resetStalled()
        guard runningCount == 0 else {
            if isOverdue(.serving) { client.waiter.setDeadline(afterMilliseconds: timeout(of: .serving)) }
            return false
        }
        guard !isLost else { return true }
        if session.isOver { return output.isEmpty && !client.stream.hasUnsent || worker.isDrainOver || isOverdue(.delivering) }
        guard !worker.isDrainOver else { return true }
        let phase = currentPhase
        guard isOverdue(phase) else { return false }
        switch phase {
        case .greeting: session.end(.settingsTimeout, because: "no SETTINGS in \(worker.configuration.timeouts.head) ms")
        case .delivering: session.end(.cancel, because: "answers not read in \(worker.configuration.timeouts.body) ms")
        case .serving, .idle, .leaving: session.end(.noError, because: "idle")
        }
        flush()
        return true
    }

    /// Gives up the answers that the client leaves untaken, whatever else it does on the connection: their exchanges are done, and
    /// no deadline is left that they could miss.
    private func resetStalled() {
        let now = worker.loop.nowMilliseconds
        guard now >= nextLookMilliseconds else { return }
        nextLookMilliseconds = now &+ worker.configuration.timeouts.body
        session.resetStalled()
        flushAtEndOfTurn()
    }

    private var currentPhase: Phase {
        guard session.isGreeted else { return .greeting }
        guard session.streamCount == 0, output.isEmpty else { return .delivering }
        return worker.isDraining ? .leaving : .idle
    }

    /// Whether the time of this phase is over. It begins with the phase, and again as the client takes something.
    private func isOverdue(_ phase: Phase) -> Bool {
        let hasProgress = phase == .delivering && sentByteCount > 0
        sentByteCount = 0
        if phase != self.phase || hasProgress {
            self.phase = phase
            client.waiter.setDeadline(afterMilliseconds: timeout(of: phase))
        }
        return client.waiter.isDue
    }

    private func timeout(of phase: Phase) -> Int64 {
        let timeouts = worker.configuration.timeouts
        return switch phase {
        case .greeting: timeouts.head
        case .serving, .delivering: timeouts.body
        case .idle: timeouts.idle
        case .leaving: timeouts.linger
        }
    }
}

extension HTTP2Connection: Settling {
    /// Lets the session sleep.
    func settle() -> Bool {
        guard phase == .idle else { return true }
        defer { wasServed = false }
        if !wasServed { session.sleep() }
        return session.isAsleep
    }
}

extension HTTP2Connection: Resting {
    func roused() {
        // Whoever wakes all that rest means others.
        let concernsIt = isLost || client.stream.isReadable || client.waiter.isDue || worker.isDraining
        guard concernsIt || !session.isAsleep else { return client.waiter.rest(self) }
        worker.state.pace.submit(.frames(self), requestCount: max(lastBegunCount, 1))
    }
}

extension HTTP2Connection: TurnFlushing {
    /// Writes what the streams have, and sends it as far as the kernel takes it.
    func flush() {
        willFlush = false
        hasMore = send()
        // Sent while the connection rested: there may be more, for which the others have their turn first, or room to receive again.
        if hasMore || mayReceive { client.waiter.wake() }
    }

    private func send() -> Bool {
        // At the end of a turn nobody may come by again for long, to see that nothing is in it.
        defer { worker.loop.buffers.strip(output) }
        for _ in 0..<Self.flushesPerTurn {
            guard !isLost else {
                output.clear()
                return false
            }
            worker.loop.buffers.furnish(output)
            session.flush(for: self)
            guard !output.isEmpty || client.stream.hasUnsent, client.stream.isWritable else { return false }
            let before = output.count
            if case .failed = client.stream.send(output) {
                lose()
                return false
            }
            sentByteCount += before - output.count
            guard output.isEmpty, before >= Self.outputBytes else { return false }
        }
        return true
    }
}

extension HTTP2Connection: StreamHandler {
    func received(_ headers: FieldSection, of stream: ServerStream, isEnd: Bool) {
        // A client may close streams faster than their exchanges end.
        guard runningCount < maximumStreams, worker.setup.streams.take() else { return stream.reset(.refusedStream) }
        client.followReload()
        let worker = self.worker
        let exchange = worker.takeExchange()
        let downstream = exchange.streamToServe(on: client)
        downstream.begin(stream, headers, isEnd: isEnd, on: self, for: exchange)
        stream.context = downstream
        runningCount += 1
        lastBegunCount += 1
        worker.state.tasks.submit(.stream(exchange, self))
    }

    func received(_ content: Span<UInt8>, on stream: ServerStream) {
        // Of a stream that is done with, only the other streams' room is given back.
        guard let downstream = stream.context as? DownstreamStream else { return dropContent(content.count) }
        downstream.receive(content: content)
    }

    func received(endOf stream: ServerStream) {
        (stream.context as? DownstreamStream)?.receiveEnd(of: stream)
    }

    func hasRoom(on stream: ServerStream) {
        (stream.context as? DownstreamStream)?.hasRoom()
    }

    func closed(_ stream: ServerStream, _ code: ErrorCode) {
        (stream.context as? DownstreamStream)?.streamClosed()
    }
}
