import COpenSSL

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
            let reason = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "error \(code)"
            if !reasons.contains(reason) { reasons.append(reason) }
        }
        return TLSFailure("cannot \(doing): \(reasons.isEmpty ? "OpenSSL says no reason" : reasons.joined(separator: ", "))")
    }
}
