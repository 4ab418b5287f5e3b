import JSON

/// The answers to what is denied, made once: a flood of denials then costs no JSON.
struct Denials: Sendable {
    let authorizationRepeated: Denial
    let tokenMissing: Denial
    let tokenInvalid: Denial
    let tokenExpired: Denial
    let storeUnavailable: Denial
    let checkMalformed: Denial
    let internalFailure: Denial

    /// The body of a 429 up to the moment at which the window ends, which is in quotes behind it.
    private let limitExceededBody: [UInt8]

    init(limit: Int, windowSeconds: Int) {
        let repeatedMessage = "More than one Authorization field. Send exactly one."
        authorizationRepeated = Denial(
            status: 400, body: Self.body("Bad Request", repeatedMessage),
            challenge: Self.challenge(error: "invalid_request", repeatedMessage))
        // Without credentials no error is told, only the scheme to use (RFC 6750 §3.1).
        tokenMissing = Denial(
            status: 401,
            body: Self.body(
                "Unauthorized", "No token provided. Include Authorization: Bearer <token> in your request."),
            challenge: Array(Self.scheme.utf8))
        let invalidMessage = "Invalid token. Authentication failed."
        tokenInvalid = Denial(
            status: 401, body: Self.body("Unauthorized", invalidMessage),
            challenge: Self.challenge(error: "invalid_token", invalidMessage))
        let expiredMessage = "Token has expired. Please re-authenticate."
        tokenExpired = Denial(
            status: 401, body: Self.body("Unauthorized", expiredMessage),
            challenge: Self.challenge(error: "invalid_token", expiredMessage))
        storeUnavailable = Denial(
            status: 503, body: Self.body("Service Unavailable", "The rate limit cannot be checked at the moment."),
            retryAfterSeconds: 1)
        checkMalformed = Denial(status: 400, body: Self.body("Bad Request", "The request cannot be judged as it is."))
        internalFailure = Denial(
            status: 500, body: Self.body("Internal Server Error", "The request could not be judged."))
        let period = switch windowSeconds {
        case 60: "minute"
        case 1: "second"
        default: "\(windowSeconds) seconds"
        }
        let message = "Rate limit exceeded. You are allowed \(limit) requests per \(period)."
        limitExceededBody = Self.body("Too Many Requests", message).dropLast() + Array(#","resetAt":""#.utf8)
    }

    func limitExceeded(_ status: LimitStatus) -> Denial {
        var body: [UInt8] = []
        body.reserveCapacity(limitExceededBody.count + 26)
        body += limitExceededBody
        appendTimestamp(unixSeconds: Int64(status.resetUnixSeconds), to: &body)
        body.append(UInt8(ascii: "\""))
        body.append(UInt8(ascii: "}"))
        return Denial(status: 429, body: body, retryAfterSeconds: status.retryAfterSeconds)
    }

    private static func body(_ error: String, _ message: String) -> [UInt8] {
        JSONValue.object(JSONObject([("error", .string(error)), ("message", .string(message))])).serialized
    }

    // A challenge needs at least one parameter (RFC 6750 §3).
    private static let scheme = #"Bearer realm="gatehouse""#

    private static func challenge(error: String, _ description: String) -> [UInt8] {
        Array(#"\#(scheme), error="\#(error)", error_description="\#(description)""#.utf8)
    }
}
