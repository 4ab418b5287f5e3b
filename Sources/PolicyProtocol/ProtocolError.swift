/// Why bytes were refused, or could not be written.
///
/// What follows from it depends on the frame (protocol.md, "Errors"): a refused CHECK or VERDICT is a denial of that one
/// request; anything else ends the connection, where possible after an ERROR frame with this code and message.
public struct ProtocolError: Error, Equatable, CustomStringConvertible {
    /// The codes an ERROR frame of version 1 may carry.
    public enum Code: String, Sendable, CaseIterable {
        case helloExpected = "hello-expected"
        case helloLate = "hello-late"
        case versionUnsupported = "version-unsupported"
        case frameMalformed = "frame-malformed"
        case frameTooLarge = "frame-too-large"
        case frameUnknown = "frame-unknown"
        case frameUnexpected = "frame-unexpected"
        case fieldMalformed = "field-malformed"
        case fieldMissing = "field-missing"
        case fieldRepeated = "field-repeated"
        case fieldUnknown = "field-unknown"
        case fieldForbidden = "field-forbidden"
        case idReused = "id-reused"
        case inFlightExceeded = "in-flight-exceeded"
        case internalFailure = "internal-failure"
    }

    public let code: Code

    /// What was found and what is accepted, for people.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code.rawValue): \(message)" }
}

func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return digits.utf8.count == 1 ? "0x0" + digits : "0x" + digits
}
