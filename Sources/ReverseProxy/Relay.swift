import Bytes
import EventLoop
import HTTPMessage

/// Carries one exchange's bytes both ways at once, until the response is complete or cannot be.
///
/// One task waits for two sockets and a deadline: each round moves whatever can be moved without waiting, and parks only where
/// nothing could. Back-pressure follows from that: nothing is received for a buffer that has not been sent on.
///
/// It holds nothing of whom it works for: what it would hold it had to retain and release at each step.
struct Relay {
    /// How it ended.
    enum End {
        /// The response is with the kernel.
        case complete(mayReuseUpstream: Bool)
        /// A kept-alive connection that the upstream had closed already: nothing of a response came.
        case staleConnection
        /// An answer that is dropped, since the request may be sent again: ``Exchange/takeRetry(insteadOf:)``.
        case answerUnwanted
        case clientGone
        case clientTooSlow
        case requestMalformed(MessageRefusal)
        case upstreamFailed(ProxyReason)
        case upstreamTimeout
        case drainOver
        /// The upstream has agreed to a WebSocket, and its response is written for the client: what follows are bytes.
        case switched
    }

    /// What the next round has to do.
    private enum Round {
        case moved
        case nothingMoved
        case ended(End)
    }

    /// Interim responses that an upstream may send before its final one.
    private static let maximumInterimResponses = 16
    /// Rounds that may move something, a buffer at the most each, before the other tasks and the sockets have their turn.
    private static let roundsPerTurn = 16
    /// What a buffer is filled to before its bytes have to be sent on.
    static let roomBytes = BufferPool.bufferBytes - 64

    private let firstByteMilliseconds: Int64
    private let idleMilliseconds: Int64
    private let deadline: Int64
    /// Whether a circuit breaker wants to know whether there is an answer.
    private let breakerWaits: Bool
    private var requestBody: BodyReader
    private var responseBody = BodyReader()
    private var responseScanner = HeadScanner()
    private var responseCoding = BodyReader.Coding.identity
    private var requestFlow: Flow
    private var responseFlow: Flow
    private var interimCount = 0
    /// Whether the rest of the request is not sent any more: the upstream takes no more of it.
    private var isRequestAbandoned = false
    private var hasUpstreamEnded = false
    private var hasUpstreamFailed = false
    private var hasReceivedAnything = false
    private(set) var hasBegunResponse = false
    /// Whether the response's head has just been written, and noted for a client of HTTP/2.
    private var hasNotedHead = false
    /// Whether some of the final response is with the client: too late for another answer.
    private(set) var hasSentResponse = false
    /// Whether the client's connection can take another request afterwards.
    private(set) var keepsClient = false

    init(_ exchange: borrowing Exchange, _ client: borrowing ClientConnection, _ upstream: borrowing UpstreamConnection) {
        let forwarding = exchange.forwarding
        (firstByteMilliseconds, idleMilliseconds) = (forwarding.waits.firstByte, forwarding.waits.idle)
        deadline = forwarding.deadline
        breakerWaits = forwarding.breakerPass != nil
        requestBody = BodyReader(exchange.head.framing, limits: exchange.worker.limits)
        // What goes to a stream of many is copied there, into memory that has a limit of its own.
        requestFlow = Flow(mayBeBulk: exchange.head.framing != .chunked && !upstream.isStreamOfMany)
        responseFlow = Flow(mayBeBulk: !client.isHTTP2)
    }

    /// Bytes of the response's content that have been passed on.
    var sentByteCount: Int { responseBody.byteCount }

    /// Whether the client takes the connection's end for the response's.
    func endsWithConnection(_ exchange: Exchange) -> Bool {
        hasBegunResponse && responseCoding == .identity && !exchange.response.framing.isAnnounced
    }

    /// Called once, with what it was made for.
    mutating func run(_ exchange: Exchange, _ client: ClientConnection, _ upstream: UpstreamConnection) async -> End {
        setDeadline(exchange, client)
        var rounds = 0
        while true {
            switch moveBothWays(exchange, client, upstream) {
            case .ended(let end): return end
            case .moved:
                setDeadline(exchange, client)
                rounds &+= 1
                if rounds % Self.roundsPerTurn == 0 { await client.waiter.yieldTurn() }
            case .nothingMoved:
                // Nothing is received from a client whose request is complete, so a reset shows here alone.
                if client.stream.isBroken { return .clientGone }
                if client.waiter.isDue { return awaitsUpstream(exchange) ? .upstreamTimeout : .clientTooSlow }
                if exchange.worker.isDrainOver { return .drainOver }
                exchange.stripBuffers()
                await client.waiter.park()
            }
        }
    }

    private mutating func moveBothWays(_ exchange: Exchange, _ client: ClientConnection, _ upstream: UpstreamConnection) -> Round {
        do throws(MessageRefusal) {
            var hasMoved = try moveRequest(exchange, client)
            if sendRequest(exchange, upstream) { hasMoved = true }
            do throws(MessageRefusal) {
                if receiveResponse(exchange, upstream) { hasMoved = true }
                if !hasBegunResponse {
                    switch try readResponseHead(exchange, client) {
                    case .moved: hasMoved = true
                    case .nothingMoved: break
                    case .ended(let end): return .ended(end)
                    }
                }
                try moveResponse(exchange)
            } catch {
                return .ended(.upstreamFailed(.upstreamMalformed))
            }
            if let end = upstreamEnd(exchange, upstream) { return .ended(end) }
            switch sendResponse(exchange, client) {
            case .moved: hasMoved = true
            case .nothingMoved: break
            case .ended(let end): return .ended(end)
            }
            return hasMoved ? .moved : .nothingMoved
        } catch {
            return .ended(.requestMalformed(error))
        }
    }

    // MARK: The request

    /// Whether the whole request has been taken from the client and written for the upstream.
    private var isRequestSent: Bool { requestBody.hasEnded && !isRequestAbandoned }

    private mutating func moveRequest(_ exchange: Exchange, _ client: ClientConnection) throws(MessageRefusal) -> Bool {
        guard !requestBody.hasEnded, !isRequestAbandoned else { return false }
        let before = exchange.upstreamOutput.count
        try pass(exchange)
        var hasMoved = exchange.upstreamOutput.count > before
        if !requestBody.hasEnded, !requestBody.isHeldUp, client.stream.isReadable, exchange.upstreamOutput.count < Self.roomBytes {
            requestFlow.furnishIfBulk(exchange.input, exchange.buffers)
            switch client.stream.receive(into: exchange.input) {
            case .received(let byteCount):
                requestFlow.note(byteCount)
                hasMoved = true
                try pass(exchange)
            case .wouldBlock: break
            case .ended, .failed: throw MessageRefusal("The request ended before its content did.")
            }
        }
        if let limit = exchange.worker.configuration.limits.bodyBytes, requestBody.byteCount > limit {
            throw MessageRefusal(413, "The request's content is larger than \(limit) bytes.")
        }
        return hasMoved
    }

    private mutating func pass(_ exchange: Exchange) throws(MessageRefusal) {
        exchange.buffers.furnish(exchange.upstreamOutput)
        try requestBody.move(
            from: exchange.input, to: exchange.upstreamOutput, as: exchange.head.framing == .chunked ? .chunked : .identity,
            room: Self.roomBytes, passesTrailer: { exchange.passesToUpstream(trailer: $0, $1) })
    }

    private mutating func sendRequest(_ exchange: Exchange, _ upstream: UpstreamConnection) -> Bool {
        let output = exchange.upstreamOutput
        guard !output.isEmpty || upstream.stream.hasUnsent, upstream.stream.isWritable else { return false }
        if case .failed = upstream.stream.send(output) {
            // It may have answered before it closed: what it said is read all the same.
            output.clear()
            isRequestAbandoned = true
            hasUpstreamFailed = true
        }
        return true
    }

    // MARK: The response

    private mutating func receiveResponse(_ exchange: Exchange, _ upstream: UpstreamConnection) -> Bool {
        let input = exchange.upstreamInput
        // While there is room behind it, what is left in the input is a head or a chunk's frame in parts, and limited as such.
        // Behind the response nothing is read: it would be kept, without a limit, for as long as the client doesn't read.
        guard upstream.stream.isReadable, !hasUpstreamEnded, !(hasBegunResponse && responseBody.hasEnded), !responseBody.isHeldUp,
            exchange.output.count < Self.roomBytes
        else { return false }
        let buffers = exchange.buffers
        buffers.furnish(input)
        responseFlow.furnishIfBulk(input, buffers)
        switch upstream.stream.receive(into: input) {
        case .received(let byteCount):
            responseFlow.note(byteCount)
            hasReceivedAnything = true
            return true
        case .wouldBlock: return false
        case .ended:
            hasUpstreamEnded = true
            return true
        case .failed:
            hasUpstreamEnded = true
            hasUpstreamFailed = true
            return true
        }
    }

    /// Reads heads until the final one. Nothing has moved where that is not complete.
    private mutating func readResponseHead(_ exchange: Exchange, _ client: ClientConnection) throws(MessageRefusal) -> Round {
        let input = exchange.upstreamInput
        guard !input.isEmpty else { return .nothingMoved }
        while let byteCount = try responseScanner.findEnd(in: input.bytes, limits: exchange.worker.limits) {
            try exchange.readResponseHead(byteCount)
            responseScanner = HeadScanner()
            guard exchange.response.isInterim else {
                if interimCount == 0, exchange.takeRetry(insteadOf: exchange.response.status) { return .ended(.answerUnwanted) }
                beginResponse(exchange, client)
                input.consume(byteCount)
                return .moved
            }
            interimCount += 1
            if exchange.record.asksForWebSocket, exchange.response.status == 101 {
                guard WebSocketHandshake.isAccepted(by: exchange.response, in: input.bytes) else {
                    return .ended(.upstreamFailed(.upstreamMalformed))
                }
                exchange.appendSwitchingHead()
                input.consume(byteCount)
                return .ended(.switched)
            }
            // Nobody asked for another upgrade, so nobody can switch protocols.
            guard exchange.response.status != 101, interimCount <= Self.maximumInterimResponses else {
                return .ended(.upstreamFailed(.upstreamMalformed))
            }
            if exchange.head.minorVersion > 0 { exchange.appendInterimHead() }
            input.consume(byteCount)
        }
        return .nothingMoved
    }

    private mutating func beginResponse(_ exchange: Exchange, _ client: ClientConnection) {
        let framing = exchange.response.framing
        hasBegunResponse = true
        responseBody = BodyReader(framing, limits: exchange.worker.limits)
        var coding: BodyReader.Coding?
        switch framing {
        case .none: break
        case .length: coding = .identity
        case .chunked, .untilClose: coding = exchange.head.minorVersion > 0 ? .chunked : .identity
        }
        responseCoding = coding ?? .identity
        let endIsSeen = coding != .identity || framing.isAnnounced
        keepsClient = exchange.head.keepsAlive && isRequestSent && endIsSeen && !exchange.worker.isDraining
        hasNotedHead = exchange.appendResponseHead(coding, keepsAlive: keepsClient, for: client)
        exchange.record.status = exchange.response.status
        if breakerWaits { exchange.tellBreakerOfAnswer() }
        exchange.record.noteUpstream()
    }

    private mutating func moveResponse(_ exchange: Exchange) throws(MessageRefusal) {
        guard hasBegunResponse, !responseBody.hasEnded else { return }
        exchange.buffers.furnish(exchange.output)
        try responseBody.move(
            from: exchange.upstreamInput, to: exchange.output, as: responseCoding, room: Self.roomBytes,
            passesTrailer: { exchange.passesToClient(trailer: $0, $1) })
    }

    /// What follows from the upstream's having closed its side, once everything it sent has been moved.
    private mutating func upstreamEnd(_ exchange: Exchange, _ upstream: UpstreamConnection) -> End? {
        guard hasUpstreamEnded else { return nil }
        guard hasBegunResponse else {
            return upstream.isReused && !hasReceivedAnything ? .staleConnection : .upstreamFailed(.upstreamBrokeOff)
        }
        guard !responseBody.hasEnded, !responseBody.isHeldUp, exchange.output.count < Self.roomBytes else { return nil }
        guard responseBody.endsWithConnection, !hasUpstreamFailed else { return .upstreamFailed(.upstreamBrokeOff) }
        if exchange.upstreamInput.isEmpty { responseBody.connectionEnded(exchange.output, as: responseCoding) }
        return nil
    }

    private mutating func sendResponse(_ exchange: Exchange, _ client: ClientConnection) -> Round {
        let (output, clientStream) = (exchange.output, client.stream)
        // What is not sent in the round that wrote it, which nothing interrupts, is read once more: other exchanges note theirs in the same place.
        let headIsNoted = hasNotedHead
        hasNotedHead = false
        var hasMoved = false
        if !output.isEmpty || clientStream.hasUnsent, clientStream.isWritable {
            let stream = headIsNoted ? clientStream as? DownstreamStream : nil
            if case .failed = stream?.send(output, headIsNoted: true) ?? clientStream.send(output) { return .ended(.clientGone) }
            hasMoved = true
            // An interim response of which a part is left counts as well: nothing else can stand in its middle.
            if hasBegunResponse || !output.isEmpty { hasSentResponse = true }
        }
        guard hasBegunResponse, responseBody.hasEnded, output.isEmpty, !clientStream.hasUnsent else { return hasMoved ? .moved : .nothingMoved }
        // Bytes behind the response, or a request that is not all sent: the connection is of no use to the next exchange.
        let isClean = isRequestSent && exchange.upstreamOutput.isEmpty && exchange.upstreamInput.isEmpty
        // Some upstreams answer HEAD with content, which may still be on its way.
        let mayReuse = isClean && exchange.head.method != .head && exchange.response.keepsAlive && !hasUpstreamEnded && !hasUpstreamFailed
        if !isRequestSent { keepsClient = false }
        return .ended(.complete(mayReuseUpstream: mayReuse))
    }

    // MARK: The deadline

    private func setDeadline(_ exchange: Exchange, _ client: ClientConnection) {
        let worker = exchange.worker
        let wait = awaitsUpstream(exchange) ? (hasBegunResponse ? idleMilliseconds : firstByteMilliseconds) : worker.configuration.timeouts.body
        client.waiter.setDeadline(afterMilliseconds: min(wait, deadline - worker.loop.nowMilliseconds))
    }

    /// Whose turn it is: says which timeout holds, and whose fault it is when it has passed.
    private func awaitsUpstream(_ exchange: Exchange) -> Bool {
        if hasBegunResponse { return exchange.output.isEmpty }
        return requestBody.hasEnded || isRequestAbandoned || !exchange.upstreamOutput.isEmpty
    }
}

extension Relay.End {
    /// What it says of the upstream.
    ///
    /// - Parameter status: of the response, where there is one.
    func outcome(_ status: UInt16) -> UpstreamOutcome {
        switch self {
        case .complete, .answerUnwanted: status >= 500 ? .serverError : .succeeded
        case .switched: .succeeded
        case .upstreamFailed, .upstreamTimeout: .failed
        case .staleConnection, .clientGone, .clientTooSlow, .requestMalformed, .drainOver: .unknown
        }
    }
}

extension BodyFraming {
    /// Whether the content's end is known otherwise than by the connection's.
    fileprivate var isAnnounced: Bool {
        switch self {
        case .none, .length: true
        case .chunked, .untilClose: false
        }
    }
}
