/// The answer to a request that is not let through. A class, since most answers are made once and given often.
public final class Denial: Sendable {
    /// The HTTP status.
    public let status: UInt16
    public let contentType: [UInt8]
    public let body: [UInt8]
    /// The value of `WWW-Authenticate` (RFC 9110 §11.6.1).
    public let challenge: [UInt8]?
    /// The value of `Retry-After` in seconds.
    public let retryAfterSeconds: Int?
    /// What else the answer's head says.
    public let headers: [HeaderChange]

    init(
        status: UInt16, contentType: [UInt8], body: [UInt8], challenge: [UInt8]? = nil, retryAfterSeconds: Int?,
        headers: [HeaderChange] = []
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.challenge = challenge
        self.retryAfterSeconds = retryAfterSeconds
        self.headers = headers
    }
}
