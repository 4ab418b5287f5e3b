import COpenSSL
import EventLoop

/// What OpenSSL refused, in its own words.
public struct TLSFailure: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// What the failing call left in this thread's error queue, which is emptied.
    ///
    /// - Parameter doing: what was tried: `read the certificate /etc/x.pem`.
    static func last(_ doing: String) -> TLSFailure {
        var reasons: [String] = []
        while case let code = ERR_get_error(), code != 0 {
            let reason = text(of: code)
            if !reasons.contains(reason) { reasons.append(reason) }
        }
        return TLSFailure("cannot \(doing): \(reasons.isEmpty ? "OpenSSL says no reason" : reasons.joined(separator: ", "))")
    }

    /// An errno stands in the queue under a flag of its own (ERR_SYSTEM_FLAG), for which OpenSSL has no words.
    private static func text(of code: UInt) -> String {
        if code & 0x8000_0000 != 0 { return SystemError.text(of: Int32(code & 0x7FFF_FFFF)) }
        return unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }
}
