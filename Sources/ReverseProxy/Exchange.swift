import Bytes
import EventLoop
import HTTPMessage
import PolicyClient
import PolicyProtocol

/// One request and its answer, from the first byte to the log line. Used again for the next one.
///
/// This file is the proxy read from top to bottom: read a head, judge it, ask the policy daemon, enforce its verdict, find the
/// route, forward. The steps themselves stand in the files beside it.
final class Exchange {
    let worker: WorkerContext
    // The worker's, at hand: what is reached over several objects is retained at each use.
    let loop: EventLoop
    let policy: PolicyClient
    let buffers: BufferPool
    /// What the client sends. While an exchange runs, its head stays at the front until it has been forwarded.
    let input = ByteBuffer(capacity: BufferPool.bufferBytes)
    // These have room while there is something in them only: see ``stripBuffers()``.
    /// What the client is sent.
    let output = ByteBuffer(capacity: 16)
    let upstreamInput = ByteBuffer(capacity: 16)
    let upstreamOutput = ByteBuffer(capacity: 16)

    // These are taken out for as long as something is read into them. An access that lasts would have each of them looked after at run time, the
    // short ones too (SE-0176).
    private(set) var head = RequestHead()
    private(set) var response = ResponseHead()
    /// Of the verdict on this request; none before there is one.
    var operations = VerdictOperations()
    var target = RequestTarget.none
    let check: PendingCheck
    /// Of the verdict, where ``operations`` lie.
    let verdictPayload: ByteBuffer
    let record = AccessRecord()
    let correlation = Correlation()
    let origin = Origin()

    var forwarding = Forwarding()

    /// The stream of HTTP/2 that it serves, and what that is to it as a client. Kept for the next one, also while it serves HTTP/1.1; nil before the first.
    private(set) var streamServed: (stream: DownstreamStream, client: ClientConnection)?

    init(in worker: WorkerContext) {
        self.worker = worker
        loop = worker.loop
        policy = worker.policy
        buffers = worker.loop.buffers
        check = PendingCheck()
        verdictPayload = check.payload
    }

    /// What is to begin with the next stream of HTTP/2.
    ///
    /// - Parameter connection: the stream's connection as a whole.
    func streamToServe(on connection: ClientConnection) -> DownstreamStream {
        if let streamServed {
            streamServed.client.streamBegan(on: connection)
            return streamServed.stream
        }
        let stream = DownstreamStream(worker.state)
        streamServed = (stream, ClientConnection(stream, on: connection, in: worker))
        return stream
    }

    func run(for client: ClientConnection) async -> AfterExchange {
        begin()
        do throws(MessageRefusal) {
            switch client.isHTTP2 ? HeadReading.complete : try await readHead(from: client) {
            case .complete:
                noteHead(client)
                correlate(client)
                try judge()
                if client.peer.isTrusted { try readOrigin() }
            case .nothing: return .keepAlive
            case .ended: return .close
            }
        } catch {
            if isHTTP2Preface(client) { return .http2 }
            return await refuse(atOnce: error, client)
        }
        let after = await handle(client)
        finish(client)
        return after
    }

    /// Answers a request that came as none, of which nothing can be read.
    ///
    /// - Parameter isHead: whether its method is HEAD all the same: the answer has no content then.
    func refuse(unread refusal: MessageRefusal, isHead: Bool, _ client: ClientConnection) async -> AfterExchange {
        begin()
        record.isHeadRequest = isHead
        return await refuse(atOnce: refusal, client)
    }

    /// Answers a request that is not read on.
    private func refuse(atOnce refusal: MessageRefusal, _ client: ClientConnection) async -> AfterExchange {
        if !record.hasHead { correlate(client) }
        let after = await refuse(refusal, client)
        finish(client)
        return after
    }

    /// Whether what could not be read as a request begins a connection of HTTP/2, by prior knowledge (RFC 9113 §3.3).
    private func isHTTP2Preface(_ client: ClientConnection) -> Bool {
        let (input, preface) = (self.input, HTTP2Connection.preface)
        guard client.isNew, !client.isHTTP2, !record.hasSkippedLine, worker.configuration.http2.isEnabled,
            input.count >= preface.utf8CodeUnitCount
        else { return false }
        return input.bytes.extracting(0..<preface.utf8CodeUnitCount).equals(preface)
    }

    private func handle(_ client: ClientConnection) async -> AfterExchange {
        if isHealthRequest { return await answerHealth(client) }
        if origin.scheme != .https, let redirect = client.peer.listener.redirect { return await answerRedirect(redirect, client) }
        switch await ask(client) {
        case .allowed: break
        case .denied: return await answerDenial(client)
        case .refused(let refusal): return await refuse(refusal, client)
        case .unanswered(let why): return await answerUnavailable(why, client)
        }
        let input = self.input
        guard let index = worker.routes.match(target.path.bytes(in: input.bytes)) else {
            return await answerNoRoute(client)
        }
        record.routeIndex = index
        if worker.configuration.routes[index].allowsWebSocket {
            do throws(MessageRefusal) {
                record.asksForWebSocket = try WebSocketHandshake.isAsked(by: head, in: input.bytes)
            } catch {
                return await refuse(error, client)
            }
        }
        // A client of HTTP/2 would take any success for a WebSocket.
        if client.isHTTP2, !record.asksForWebSocket, (client.stream as? DownstreamStream)?.isWebSocket == true {
            return await refuse(MessageRefusal(501, "There are no WebSockets here."), client)
        }
        let (upstream, now) = (worker.routeUpstreams[index], loop.nowMilliseconds)
        forwarding = Forwarding(worker.routeWaits[index], retries: upstream.maximumRetries, now: now)
        upstream.noteRequest(now: now)
        return upstream.isGuarded ? await forwardInTurn(client, through: upstream) : await forward(client, through: upstream)
    }

    // MARK: Reading the head

    private enum HeadReading {
        case complete
        /// There is nothing to read after all: the connection is idle as before.
        case nothing
        /// The client has left, or sends nothing while the proxy drains.
        case ended
    }

    /// Reads until the head is complete.
    ///
    /// - Throws: 408 where it doesn't arrive in time; what the scanner and the parser refuse.
    private func readHead(from client: ClientConnection) async throws(MessageRefusal) -> HeadReading {
        var scanner = HeadScanner()
        let limits = worker.limits
        client.waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.head)
        while true {
            skipEmptyLine()
            let input = self.input
            if let byteCount = try scanner.findEnd(in: input.bytes, limits: limits) {
                record.startNanoseconds = Clock.monotonicNanoseconds()
                try readHead(byteCount)
                return .complete
            }
            while !client.stream.isReadable {
                guard !client.waiter.isDue, !worker.isDrainOver else {
                    guard !input.isEmpty else { return .ended }
                    throw MessageRefusal(408, "The request's head did not arrive in time.")
                }
                await client.waiter.park()
            }
            switch client.stream.receive(into: input) {
            case .wouldBlock where input.isEmpty && !record.hasSkippedLine: return .nothing
            case .received, .wouldBlock: continue
            case .ended, .failed: return .ended
            }
        }
    }

    /// Takes in the head of an HTTP/2 request, ahead of ``run(for:)``.
    ///
    /// - Returns: whether its content comes in the chunked coding.
    func take(_ request: inout RequestText, isEnd: Bool) throws(MessageRefusal) -> Bool {
        var head = RequestHead()
        swap(&head, &self.head)
        defer { swap(&head, &self.head) }
        do throws(MessageRefusal) {
            return try request.write(isEnd: isEnd, limits: worker.limits, random: worker.state.random, to: input, reading: &head)
        } catch {
            input.clear()
            throw error
        }
    }

    private func readHead(_ byteCount: Int) throws(MessageRefusal) {
        let input = self.input
        var head = RequestHead()
        swap(&head, &self.head)
        defer { swap(&head, &self.head) }
        try head.parse(input.bytes, byteCount: byteCount, limits: worker.limits)
    }

    /// Reads the head of the upstream's response that stands in `upstreamInput`.
    func readResponseHead(_ byteCount: Int) throws(MessageRefusal) {
        let (input, method) = (upstreamInput, head.method)
        var response = ResponseHead()
        swap(&response, &self.response)
        defer { swap(&response, &self.response) }
        try response.parse(input.bytes, byteCount: byteCount, answering: method)
    }

    private func noteHead(_ client: ClientConnection) {
        let input = self.input
        if client.isHTTP2 {
            record.startNanoseconds = Clock.monotonicNanoseconds()
            record.isGRPC = isGRPCRequest
        }
        record.hasHead = true
        record.isHeadRequest = head.method == .head
        record.noteRequest(head.methodName.bytes(in: input.bytes), pathOf: head.target.bytes(in: input.bytes))
        if worker.logsDetails { record.noteDetails(head, input.bytes) }
    }

    /// Leaves head and input alone: a request of HTTP/2 has been taken in already.
    private func begin() {
        record.begin()
        correlation.clear()
        origin.clear()
        target = .none
        operations = VerdictOperations()
    }

    /// One empty line before a request is passed over (RFC 9112 §2.2); a second one is refused as a malformed request line.
    private func skipEmptyLine() {
        guard !record.hasSkippedLine, input.count >= 2, input[0] == 0x0D, input[1] == 0x0A else { return }
        record.hasSkippedLine = true
        input.consume(2)
    }

    private func correlate(_ client: ClientConnection) {
        let configuration = worker.configuration
        guard configuration.requestIDs != .off || configuration.traceContext != .off else { return }
        let input = self.input
        correlation.note(
            record.hasHead ? head.fields : [], input.bytes, isTrusted: client.peer.isTrusted, configuration.requestIDs, configuration.traceContext,
            worker.state.random)
    }

    // MARK: Judging it

    /// Refuses what no policy need be asked about.
    private func judge() throws(MessageRefusal) {
        let input = self.input
        // Not with the head itself: it would be copied for that.
        target = try RequestTarget.normalize(head.target, method: head.method, host: head.host, in: input)
        record.notePath(target.path.bytes(in: input.bytes))
        if target.hasEncodedSlash {
            let path = target.path.bytes(in: input.bytes)
            guard let index = worker.routes.match(path), worker.configuration.routes[index].allowsEncodedSlash else {
                throw MessageRefusal("There is an escaped slash in the path.")
            }
        }
        if case .length(let length) = head.framing, let limit = worker.configuration.limits.bodyBytes, length > limit {
            throw MessageRefusal(413, "The request's content is larger than \(limit) bytes.")
        }
    }

    private func readOrigin() throws(MessageRefusal) {
        let input = self.input
        try origin.read(head.fields, input.bytes, worker.configuration.trustedProxies)
    }

    private var isHealthRequest: Bool {
        guard head.method == .get || head.method == .head else { return false }
        let input = self.input
        return target.path.bytes(in: input.bytes).equals("/health")
    }

    // MARK: Ending

    private func finish(_ client: ClientConnection) {
        observe(client)
        consumeHead()
        upstreamInput.clear()
        upstreamOutput.clear()
        output.clear()
        stripBuffers()
        buffers.shrink(input)
        check.waiter = nil
    }

    private func observe(_ client: ClientConnection) {
        guard worker.isObserved else { return }
        let start = record.startNanoseconds
        let nanoseconds = start == 0 ? 0 : Clock.monotonicNanoseconds() - start
        if let metrics = worker.metrics, let worker = worker.state.workerMetrics {
            metrics.count(record, route: self.worker.route(of: record), nanoseconds: nanoseconds, in: worker)
        }
        worker.log(self, client, nanoseconds: nanoseconds)
    }

    /// Gives the room of empty buffers back. An exchange that waits then holds its input alone.
    func stripBuffers() {
        buffers.strip(output)
        buffers.strip(upstreamInput)
        buffers.strip(upstreamOutput)
    }

    /// Whether its buffers are as small as at first: one that served a large message is let go, so that it doesn't stay for good.
    var isSmall: Bool {
        max(input.capacity, output.capacity, upstreamInput.capacity, upstreamOutput.capacity) <= BufferPool.bufferBytes
    }

    /// Takes the head off the input, once. Its ranges mean nothing any more.
    func consumeHead() {
        guard record.hasHead else { return }
        record.hasHead = false
        input.consume(head.byteCount)
    }
}
