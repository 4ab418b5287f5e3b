/// Why a message is not read on: the status that says so to a client, and what was wrong.
///
/// Where an upstream's message is refused, the status is of no use: the client gets a 502.
public struct MessageRefusal: Error, Equatable, CustomStringConvertible {
    /// 400, 405, 413, 414, 431 or 505.
    public let status: UInt16
    /// What was found, in words fit for a client.
    public let message: String

    /// A refusal with 400.
    public init(_ message: String) { self.init(400, message) }

    public init(_ status: UInt16, _ message: String) {
        self.status = status
        self.message = message
    }

    public var description: String { "\(status): \(message)" }
}
