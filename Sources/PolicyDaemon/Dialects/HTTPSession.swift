import Bytes
import HTTPMessage
import PolicyProtocol

/// The HTTP dialect: a strict HTTP/1.1 server of the ``HTTPEndpoint``s. Requests may be pipelined; answers come in their order.
final class HTTPSession: DialectSession, VerdictReceiver {
    /// One request and its answer, which waits here while an earlier one is still being judged.
    private struct Exchange {
        let endpoint: HTTPEndpoint
        let isHead: Bool
        let closes: Bool
        var answer: ByteBuffer?
    }

    /// What of a request's content is read and dropped: no endpoint has a use for any.
    static let contentBytes = 65_536

    let output: ByteBuffer
    var hasLateOutput: () -> Void = {}
    let clientName = "an HTTP client"
    private(set) var ending: String?
    private(set) var isGreeted = false
    private(set) var isOver = false

    private let judge: any Judge
    private let maximumInFlight: Int
    private let limits: HeadLimits
    private let draft: RequestDraft
    private let refused = RefusedRequest()
    private let answer: HTTPAnswer
    private let ownedHeaders: [[UInt8]]
    // These are taken out and put back: so what every request touches needs no check at run time for being touched twice.
    private var scanner = HeadScanner()
    private var head = RequestHead()
    private var exchanges: [Exchange] = []
    private var contentBytesLeft = 0
    private var firstTicket: UInt64 = 0
    /// Whether nothing further is read: a request that closes was received, or the daemon stops.
    private var isClosing = false
    private var isReceiving = false

    /// - Parameter maximumInFlight: how many requests may be without an answer at one time.
    init(_ judge: any Judge, maximumInFlight: Int, output: ByteBuffer) {
        self.judge = judge
        self.maximumInFlight = maximumInFlight
        self.output = output
        draft = RequestDraft(wantedHeaders: judge.wantedHeaders)
        answer = HTTPAnswer(ownedHeaders: judge.ownedHeaders)
        ownedHeaders = judge.ownedHeaders.map { Array($0.utf8) }
        // A subrequest has the headers of the client's request, and its target among them; and up to 8 KiB that the asking proxy adds.
        var limits = HeadLimits()
        limits.headerBytes += limits.requestLineBytes + 8_192
        limits.headerCount = ProtocolLimits.headersPerCheck
        // `/envoy` may stand before the client's target.
        limits.requestLineBytes += 64
        self.limits = limits
    }

    func receive(_ input: ByteBuffer, nowUnixMilliseconds: Int64) {
        isReceiving = true
        var head = exchange(&self.head, with: RequestHead())
        while !isClosing, dropContent(input), !input.isEmpty {
            do throws(MessageRefusal) {
                guard try read(&head, input) else { break }
                try judgeFraming(head)
            } catch {
                refuse(error)
                break
            }
            begin(head, input.bytes, nowUnixMilliseconds)
            input.consume(head.byteCount)
        }
        self.head = head
        // What stands behind the last request isn't read.
        if isClosing { input.clear() }
        isReceiving = false
    }

    /// - Returns: false while the head isn't all there.
    private func read(_ head: inout RequestHead, _ input: ByteBuffer) throws(MessageRefusal) -> Bool {
        var scanner = exchange(&self.scanner, with: HeadScanner())
        guard let byteCount = try scanner.findEnd(in: input.bytes, limits: limits) else {
            self.scanner = scanner
            return false
        }
        isGreeted = true
        try head.parse(input.bytes, byteCount: byteCount, limits: limits)
        return true
    }

    /// Whether the content of the last request is all there.
    private func dropContent(_ input: ByteBuffer) -> Bool {
        let count = min(contentBytesLeft, input.count)
        input.consume(count)
        contentBytesLeft -= count
        return contentBytesLeft == 0
    }

    private func judgeFraming(_ head: RequestHead) throws(MessageRefusal) {
        guard exchanges.count < maximumInFlight else {
            throw MessageRefusal(503, "There are \(maximumInFlight) requests on this connection without an answer already.")
        }
        switch head.framing {
        case .none: contentBytesLeft = 0
        case .length(let length) where length <= Self.contentBytes: contentBytesLeft = length
        case .length, .chunked, .untilClose:
            throw MessageRefusal(413, "Content is of no use here; up to \(Self.contentBytes) bytes of a stated length are dropped.")
        }
    }

    private func begin(_ head: RequestHead, _ bytes: Span<UInt8>, _ now: Int64) {
        let closes = !head.keepsAlive || head.minorVersion == 0
        if closes { isClosing = true }
        let endpoint = HTTPEndpoint.of(head.target.bytes(in: bytes))
        let ticket = open(Exchange(endpoint: endpoint ?? .forward, isHead: head.method == .head, closes: closes))
        do throws(MessageRefusal) {
            guard let endpoint else {
                throw MessageRefusal(404, "Nothing is asked here; /nginx, /forward and /envoy/ are the places to ask.")
            }
            try endpoint.read(head, bytes, into: draft)
            if endpoint == .envoy { try refuseFoldable(head, bytes) }
        } catch {
            return deny(error, ticket)
        }
        let buffer = draft.buffer
        judge.judge(draft.parts, buffer.bytes, nowUnixMilliseconds: now, receiver: self, ticket: ticket)
    }

    /// Envoy can be told to remove headers only by names that are known beforehand, so a client's header that a backend may
    /// take for one of the daemon's cannot be removed.
    private func refuseFoldable(_ head: RequestHead, _ bytes: Span<UInt8>) throws(MessageRefusal) {
        for field in head.fields {
            let name = field.name.bytes(in: bytes)
            guard name.mayBeFolded, ownedHeaders.contains(where: { name.mayBeTaken(for: $0.span) }) else { continue }
            throw MessageRefusal(400, "The request has a header whose name may be taken for one of the gateway's own.")
        }
    }

    /// - Returns: the ticket that the verdict is to come with.
    private func open(_ opened: Exchange) -> UInt64 {
        var exchanges = exchange(&self.exchanges, with: [])
        exchanges.append(opened)
        self.exchanges = exchanges
        return firstTicket + UInt64(exchanges.count - 1)
    }

    func verdict(_ payload: Span<UInt8>, _ message: VerdictMessage, ticket: UInt64) {
        guard let index = unanswered(ticket) else { return }
        let exchange = exchanges[index]
        let target = target(index)
        answer.write(payload, message, for: exchange.endpoint, isHead: exchange.isHead, closes: closes(index), to: target)
        answered(index, target)
    }

    func allowed(_ allow: RepeatedAllow, ticket: UInt64) -> Bool {
        guard let index = unanswered(ticket) else { return false }
        let target = target(index)
        guard answer.write(allow, for: exchanges[index].endpoint, closes: closes(index), to: target) else { return false }
        answered(index, target)
        return true
    }

    /// Which exchange waits for the verdict with this ticket.
    private func unanswered(_ ticket: UInt64) -> Int? {
        guard ticket >= firstTicket, ticket - firstTicket < UInt64(exchanges.count) else { return nil }
        let index = Int(ticket - firstTicket)
        return exchanges[index].answer == nil ? index : nil
    }

    private func target(_ index: Int) -> ByteBuffer { index == 0 ? output : ByteBuffer(capacity: 512) }

    private func answered(_ index: Int, _ answer: ByteBuffer) {
        var exchanges = exchange(&self.exchanges, with: [])
        exchanges[index].answer = answer
        if index == 0 { sendAnswered(&exchanges) }
        self.exchanges = exchanges
        if !isReceiving { hasLateOutput() }
    }

    /// Whether the connection is closed behind this answer: also the last one where the daemon stops.
    private func closes(_ index: Int) -> Bool { exchanges[index].closes || isClosing && index == exchanges.count - 1 }

    /// Takes the answered exchanges off the front; the first one's answer is in the output already.
    private func sendAnswered(_ exchanges: inout [Exchange]) {
        while let answer = exchanges.first?.answer {
            if answer !== output { output.append(answer.bytes) }
            exchanges.removeFirst()
            firstTicket += 1
        }
        if exchanges.isEmpty, isClosing { isOver = true }
    }

    /// Answers a request that can't be read, behind those before it, and reads no further.
    ///
    /// - Parameter isRequest: false where none has come.
    private func refuse(_ refusal: MessageRefusal, isRequest: Bool = true) {
        ending = "\(refusal.status): \(refusal.message)"
        isClosing = true
        isGreeted = true
        deny(refusal, open(Exchange(endpoint: .forward, isHead: false, closes: true)), isRequest: isRequest)
    }

    private func deny(_ refusal: MessageRefusal, _ ticket: UInt64, isRequest: Bool = true) {
        if isRequest { judge.noteRefused() }
        refused.deny(refusal) { payload, message in verdict(payload, message, ticket: ticket) }
    }

    func goAway() {
        guard !isClosing else { return }
        isClosing = true
        if exchanges.isEmpty { isOver = true }
    }

    func end(late input: LateInput) {
        guard !isOver, !isClosing else { return }
        switch input {
        case .greeting(let milliseconds): refuse(MessageRefusal(408, "No request came within \(milliseconds) ms."), isRequest: false)
        case .message(let milliseconds): refuse(MessageRefusal(408, "The request was not complete within \(milliseconds) ms."))
        }
    }
}
