import Bytes

/// What is changed for one request alone: what says something of the request, and the place of its credential.
public struct RequestChanges: Sendable {
    public private(set) var requestHeaders: [HeaderChange] = []
    public private(set) var responseHeaders: [HeaderChange] = []
    /// What takes the place of the request's query; nil where that stays.
    public private(set) var query: [UInt8]?

    /// False where a value may not stand in a header.
    mutating func render(
        _ rule: Rule, _ identity: Identity, _ credential: PresentedCredential?, _ request: borrowing RequestView
    ) -> Bool {
        if let credential {
            query = credential.remainingQuery
            if let cookies = credential.remainingCookies, !rule.changesCookies {
                requestHeaders.append(HeaderChange(name: Array("cookie".utf8), value: cookies.isEmpty ? nil : cookies))
            }
        }
        guard rule.hasHeadersByRequest else { return true }
        let buffer = ByteBuffer(capacity: 256)
        for operation in rule.options.requestHeaders where operation.dependsOnRequest {
            guard let change = operation.change(identity, request, in: buffer) else { return false }
            requestHeaders.append(change)
        }
        renderResponseHeaders(rule, identity, request)
        return true
    }

    /// All that the rule says of the answer.
    mutating func renderAnswer(_ rule: Rule, _ known: KnownIdentity, _ request: borrowing RequestView) {
        guard !rule.options.responseHeaders.isEmpty else { return }
        responseHeaders = known.prepared(for: rule).responseHeaders
        if rule.hasHeadersByRequest { renderResponseHeaders(rule, known.identity, request) }
    }

    /// Without a header that it can't have, an answer is an answer still.
    private mutating func renderResponseHeaders(_ rule: Rule, _ identity: Identity, _ request: borrowing RequestView) {
        let buffer = ByteBuffer(capacity: 256)
        for operation in rule.options.responseHeaders where operation.dependsOnRequest {
            if let change = operation.change(identity, request, in: buffer) { responseHeaders.append(change) }
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
