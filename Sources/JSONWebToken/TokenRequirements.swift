import Bytes
import JSON

/// What a token must say, besides being signed.
public struct TokenRequirements: Sendable, Equatable {
    /// One of these must be in `aud`; where there is none here, `aud` is not looked at.
    public var audiences: [String]
    /// By how much the clocks of issuer and verifier may differ.
    public var leewaySeconds: Int
    /// How long ago `iat` may be; nil leaves `iat` unjudged.
    public var maximumAgeSeconds: Int?
    /// Claims that must be there and not null.
    public var requiredClaims: [ClaimPath]
    /// One of these must be the header's `typ`, in any case, `application/` in front or not (RFC 7515 §4.1.9); nil takes any, and none.
    public var types: [String]?
    public var requiresExpiry: Bool

    public init(
        audiences: [String] = [], leewaySeconds: Int = 0, maximumAgeSeconds: Int? = nil, requiredClaims: [ClaimPath] = [],
        types: [String]? = nil, requiresExpiry: Bool = false
    ) {
        self.audiences = audiences
        self.leewaySeconds = leewaySeconds
        self.maximumAgeSeconds = maximumAgeSeconds
        self.requiredClaims = requiredClaims
        self.types = types
        self.requiresExpiry = requiresExpiry
    }

    /// Judges the claims, and the header's `typ`.
    ///
    /// - Returns: the moment from which the token is no longer good, in Unix seconds, leeway included; perhaps infinite.
    func check(_ claims: JSONObject, type: String?, nowUnixSeconds now: Double) throws(TokenRefusal) -> Double {
        if let types {
            guard let type, types.contains(where: { Self.mediaType($0) == Self.mediaType(type) }) else { throw .typeWrong }
        }
        let end = try checkTimes(claims, nowUnixSeconds: now)
        try checkAudience(claims)
        for path in requiredClaims {
            switch path.value(in: claims) {
            case nil, .null?: throw .claimMissing
            default: break
            }
        }
        return end
    }

    private func checkTimes(_ claims: JSONObject, nowUnixSeconds now: Double) throws(TokenRefusal) -> Double {
        let leeway = Double(leewaySeconds)
        let expiry = try claims.time("exp")
        if requiresExpiry, expiry == nil { throw .claimMissing }
        var end = (expiry ?? .infinity) + leeway
        guard now < end else { throw .expired }
        if let notBefore = try claims.time("nbf"), notBefore > now + leeway { throw .notYetValid }
        if let maximumAgeSeconds {
            guard let issuedAt = try claims.time("iat") else { throw .claimMissing }
            guard issuedAt <= now + leeway else { throw .notYetValid }
            let oldest = issuedAt + Double(maximumAgeSeconds) + leeway
            guard now < oldest else { throw .tooOld }
            end = min(end, oldest)
        }
        return end
    }

    /// RFC 7519 §4.1.3: one string, or several.
    private func checkAudience(_ claims: JSONObject) throws(TokenRefusal) {
        guard !audiences.isEmpty else { return }
        switch claims["aud"] {
        case nil: throw .audienceWrong
        case .string(let one)?: guard isWanted(one) else { throw .audienceWrong }
        case .array(let several)?:
            guard several.allSatisfy({ $0.string != nil }) else { throw .malformed }
            guard several.contains(where: { $0.string.map(isWanted) == true }) else { throw .audienceWrong }
        default: throw .malformed
        }
    }

    private func isWanted(_ audience: String) -> Bool { audiences.contains { $0.utf8.elementsEqual(audience.utf8) } }

    private static func mediaType(_ type: String) -> [UInt8] {
        let lower = type.utf8.map(\.lowercasedASCII)
        return lower.contains(UInt8(ascii: "/")) ? lower : Array("application/".utf8) + lower
    }
}

extension JSONObject {
    /// A NumericDate (RFC 7519 §2): any finite number.
    fileprivate func time(_ name: String) throws(TokenRefusal) -> Double? {
        guard let claim = self[name] else { return nil }
        guard let seconds = claim.number?.double else { throw .malformed }
        return seconds
    }
}
