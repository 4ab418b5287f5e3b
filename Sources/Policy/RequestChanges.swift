import Bytes

/// What is changed for one request alone: what says something of the request, and the place of its credential.
public struct RequestChanges: Sendable {
    public var requestHeaders: [HeaderChange] { ownRequestHeaders ?? [] }
    public var responseHeaders: [HeaderChange] { ownResponseHeaders ?? [] }
    /// What takes the place of the request's query; nil where that stays.
    public private(set) var query: [UInt8]?
    // Nil rather than empty: most requests have none, and then nothing is retained.
    private var ownRequestHeaders: [HeaderChange]?
    private var ownResponseHeaders: [HeaderChange]?

    public var isEmpty: Bool { query == nil && ownRequestHeaders == nil && ownResponseHeaders == nil }

    /// False where a value may not stand in a header.
    mutating func render(
        _ rule: Rule, _ identity: Identity, _ stripped: StrippedRequest?, _ request: borrowing RequestView, in buffer: ByteBuffer
    ) -> Bool {
        if let stripped {
            query = stripped.remainingQuery
            if let cookies = stripped.remainingCookies, !rule.changesCookies {
                ownRequestHeaders = [HeaderChange(name: Array("cookie".utf8), value: cookies.isEmpty ? nil : cookies)]
            }
        }
        guard rule.hasHeadersByRequest else { return true }
        for operation in rule.options.requestHeaders where operation.dependsOnRequest {
            guard let change = operation.change(identity, request, in: buffer) else { return false }
            ownRequestHeaders = requestHeaders + [change]
        }
        renderResponseHeaders(rule, identity, request, in: buffer)
        return true
    }

    /// All that the rule says of the answer.
    mutating func renderAnswer(_ rule: Rule, _ known: KnownIdentity, _ request: borrowing RequestView, in buffer: ByteBuffer) {
        guard !rule.options.responseHeaders.isEmpty else { return }
        ownResponseHeaders = known.prepared(for: rule, in: buffer).responseHeaders
        if rule.hasHeadersByRequest { renderResponseHeaders(rule, known.identity, request, in: buffer) }
    }

    /// Without a header that it can't have, an answer is an answer still.
    private mutating func renderResponseHeaders(
        _ rule: Rule, _ identity: Identity, _ request: borrowing RequestView, in buffer: ByteBuffer
    ) {
        for operation in rule.options.responseHeaders where operation.dependsOnRequest {
            if let change = operation.change(identity, request, in: buffer) { ownResponseHeaders = responseHeaders + [change] }
        }
    }
}

extension HeaderOperation {
    /// Nil where the value may not stand in a header.
    func change(_ identity: Identity, _ request: borrowing RequestView, denial: DenialFacts? = nil, in buffer: ByteBuffer) -> HeaderChange? {
        buffer.clear()
        return switch evaluate(request: request, claims: identity.claims, denial: denial, to: buffer) {
        case .set: HeaderChange(name: name.bytes, value: buffer.bytes.array)
        case .remove: HeaderChange(name: name.bytes, value: nil)
        case .unfit: nil
        }
    }
}
