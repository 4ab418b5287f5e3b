import Bytes

/// How each kind of denial is answered. What depends on nothing is made once: a flood of denials then costs no JSON.
public struct Denials: Sendable {
    private let responses: [DenialKind: DenialResponse]
    /// By the raw value of the reason; nil where the answer has to be made for each request.
    private let prepared: [Denial?]
    /// Whether the body of a 429 is the usual one.
    private let hasUsualLimitBody: Bool
    /// Whether an answer says something of its request.
    let dependOnRequest: Bool
    /// The request's headers that answers need.
    let headerNames: [[UInt8]]

    /// How many headers an answer has beside the usual ones, at the most.
    var mostHeaders: Int { responses.values.map(\.headers.count).max() ?? 0 }

    /// JSON: `{"error":"Unauthorized","message":"…"}`.
    public static let usual = Denials([:])

    /// - Parameter responses: the usual one for each kind that is missing.
    public init(_ responses: [DenialKind: DenialResponse]) {
        self.responses = responses
        let templates = responses.values.map(\.body)
        let operations = responses.values.flatMap(\.headers)
        dependOnRequest = templates.contains { $0.dependsOnRequest } || operations.contains { $0.dependsOnRequest }
        headerNames = templates.flatMap(\.headerNames) + operations.flatMap(\.headerNames)
        hasUsualLimitBody = responses[.limited] == nil
        prepared = Reason.allCases.map { reason in
            guard let response = responses[reason.denialKind] else { return Self.usual(reason) }
            guard !response.body.dependsOnRequest, !response.body.dependsOnClaims, response.headers.isEmpty, reason != .conditionFailed,
                reason != .certificateUnfit
            else {
                return nil
            }
            return Self.render(response, reason, Self.facts(reason, reason.bytes), .anonymous, RequestView.none())
        }
    }

    /// The answer where no limit denies.
    ///
    /// - Parameter text: the reason's, where it has one of its own.
    func denial(_ reason: Reason, text: [UInt8]? = nil, _ identity: Identity?, _ request: borrowing RequestView) -> Denial {
        if let denial = prepared[Int(reason.rawValue)] { return denial }
        guard let response = responses[reason.denialKind] else { return Self.usual(reason) }
        return Self.render(response, reason, Self.facts(reason, text ?? reason.bytes), identity ?? .anonymous, request)
    }

    /// The answer to a request that was counted.
    ///
    /// - Parameter exceeded: nil where no limit denies it.
    func denial(_ reason: Reason, _ exceeded: ExceededLimits?, _ identity: Identity?, _ request: borrowing RequestView) -> Denial {
        guard let exceeded, reason.denialKind == .limited else { return denial(reason, identity, request) }
        let status = exceeded.status
        if hasUsualLimitBody, reason != .authenticationFailuresExceeded {
            var body = exceeded.allowance.exceededBody
            body.reserveCapacity(body.count + 26)
            appendTimestamp(unixSeconds: status.resetUnixSeconds, to: &body)
            body.append(UInt8(ascii: "\""))
            body.append(UInt8(ascii: "}"))
            return Denial(status: 429, contentType: Self.json, body: body, retryAfterSeconds: status.retryAfterSeconds)
        }
        var facts = Self.facts(reason, reason.bytes)
        if reason != .authenticationFailuresExceeded { facts.message = exceeded.allowance.exceededMessage }
        facts.retryAfterSeconds = status.retryAfterSeconds
        facts.resetUnixSeconds = status.resetUnixSeconds
        facts.violatedPolicies = exceeded.names.map { Array($0.utf8) }
        return Self.render(responses[.limited] ?? Self.usualLimited, reason, facts, identity ?? .anonymous, request)
    }

    // MARK: Making them

    private static let json = Array("application/json".utf8)

    private static let usualLimited: DenialResponse = {
        do throws(RuleMistake) { return try DenialResponse(.limited) } catch { preconditionFailure(error.description) }
    }()

    private static func usual(_ reason: Reason) -> Denial {
        do throws(RuleMistake) {
            let response = try DenialResponse(reason.denialKind)
            return render(response, reason, facts(reason, reason.bytes), .anonymous, RequestView.none())
        } catch {
            preconditionFailure(error.description)
        }
    }

    private static func facts(_ reason: Reason, _ text: [UInt8]) -> DenialFacts {
        DenialFacts(
            reason: text, message: reason.message.withUTF8Buffer { unsafe Array($0) },
            retryAfterSeconds: reason.denialKind == .unavailable ? 1 : nil)
    }

    private static func render(
        _ response: DenialResponse, _ reason: Reason, _ facts: DenialFacts, _ identity: Identity, _ request: borrowing RequestView
    ) -> Denial {
        let buffer = ByteBuffer(capacity: 512)
        var headers: [HeaderChange] = []
        for operation in response.headers {
            // Without a header that it can't have, a denial is a denial still.
            if let change = operation.change(identity, request, denial: facts, in: buffer) { headers.append(change) }
        }
        buffer.clear()
        _ = response.body.render(request: request, claims: identity.claims, denial: facts, to: buffer)
        return Denial(
            status: response.status, contentType: response.contentType, body: buffer.bytes.array, challenge: challenge(reason),
            retryAfterSeconds: facts.retryAfterSeconds, headers: headers)
    }

    // A challenge needs at least one parameter (RFC 6750 §3). Without credentials no error is told, only the scheme to use (§3.1).
    private static func challenge(_ reason: Reason) -> [UInt8]? {
        let scheme = #"Bearer realm="gatehouse""#
        let error: String
        switch reason {
        case .tokenMissing: return Array(scheme.utf8)
        case .authorizationRepeated: error = "invalid_request"
        case .conditionFailed: error = "insufficient_scope"
        case _ where reason.denialKind == .unauthorized: error = "invalid_token"
        default: return nil
        }
        return Array(#"\#(scheme), error="\#(error)", error_description="\#(reason.message)""#.utf8)
    }
}

/// The limits that a request is over.
struct ExceededLimits {
    /// Of the one that has to be waited for longest.
    let status: LimitStatus
    let allowance: Allowance
    let names: [String]
}
