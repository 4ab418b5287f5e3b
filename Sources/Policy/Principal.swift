import JSON

/// As whom a request is made: what the policy believes of a verified token, ready to be used for every request with it.
public final class Principal: Sendable {
    /// A header of the request and the one value it shall have.
    public struct Header: Sendable, Equatable {
        /// In lower case.
        public let name: [UInt8]
        public let value: [UInt8]
    }

    /// The user's id, as UTF-8.
    public let userID: [UInt8]
    /// What the upstream is told of the user.
    public let identityHeaders: [Header]
    /// `ratelimit:{userId}:`. A counter's key is this and the number of its window: as that has digits only, the last colon of
    /// a key ends the user id, whatever stands in it, and no two users share a key.
    public let counterKeyPrefix: [UInt8]

    /// Reads the claims of a token whose signature and times hold.
    ///
    /// - Parameter claims: `userId`, or `sub` where that is missing, a string or a whole number; `email` and `role`, strings,
    ///   both optional.
    /// - Returns: nil where a claim is missing, of another type, or such that no header may carry it.
    public init?(claims: JSONObject) {
        guard let userID = Self.userID(claims["userId"] ?? claims["sub"]), !userID.isEmpty, Self.mayStandInHeader(userID)
        else { return nil }
        var headers = [Header(name: IdentityHeaders.userID, value: userID)]
        if let claim = claims["email"] {
            guard let email = Self.text(claim) else { return nil }
            headers.append(Header(name: IdentityHeaders.email, value: email))
        }
        let role: [UInt8]
        if let claim = claims["role"] {
            guard let text = Self.text(claim) else { return nil }
            role = text
        } else {
            role = IdentityHeaders.defaultRole
        }
        headers.append(Header(name: IdentityHeaders.role, value: role))
        self.userID = userID
        identityHeaders = headers
        counterKeyPrefix = Array("ratelimit:".utf8) + userID + [UInt8(ascii: ":")]
    }

    private static func userID(_ claim: JSONValue?) -> [UInt8]? {
        switch claim {
        case .string(let text): Array(text.utf8)
        case .number(let number): wholeNumber(number)
        default: nil
        }
    }

    /// The digits of a whole number of any length; nil for one written with a fraction or an exponent, as whose the spelling
    /// of an id would be anybody's guess.
    private static func wholeNumber(_ number: JSONNumber) -> [UInt8]? {
        let text = Array(number.text.utf8)
        let digits = text.first == UInt8(ascii: "-") ? text.dropFirst() : text[...]
        guard digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return Array(digits) == [UInt8(ascii: "0")] ? [UInt8(ascii: "0")] : text
    }

    private static func text(_ claim: JSONValue) -> [UInt8]? {
        guard let text = claim.string else { return nil }
        let bytes = Array(text.utf8)
        return mayStandInHeader(bytes) ? bytes : nil
    }

    /// Whether a value reaches the upstream as it is: no control byte, which might begin a second header, and no blank at an
    /// end, which a reader of the header would take off (RFC 9110 §5.5) and so see another value.
    private static func mayStandInHeader(_ value: [UInt8]) -> Bool {
        guard value.first != UInt8(ascii: " "), value.last != UInt8(ascii: " ") else { return false }
        return value.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
    }
}

/// The headers by which the upstream learns who asks. They are the policy's own: no client may bring them.
public enum IdentityHeaders {
    public static let userID = Array("x-user-id".utf8)
    public static let email = Array("x-user-email".utf8)
    public static let role = Array("x-user-role".utf8)
    public static let all = [userID, email, role]

    static let defaultRole = Array("user".utf8)
}
