import JSON

/// Why a token is refused. The texts are stable: logs and metrics carry them.
public enum TokenRefusal: String, Sendable, Error {
    /// No compact JWS, no base64url, no JSON object, a claim of the wrong type, or too large.
    case malformed
    /// The header names another algorithm than the key's (RFC 8725 §3.1); `none` among them.
    case algorithmNotAllowed = "algorithm-not-allowed"
    /// The header demands an extension (`crit`, or `b64` of RFC 7797); none is understood here.
    case extensionUnknown = "extension-unknown"
    case signatureInvalid = "signature-invalid"
    case expired
    case notYetValid = "not-yet-valid"
}

/// A token whose signature and times hold.
public struct VerifiedToken: Sendable {
    public let claims: JSONObject
    /// Unix seconds, from `exp`; the token is good before this moment only. Infinite without `exp`.
    public let expiresAt: Double
}

/// Verifies compact JWTs (RFC 7519, RFC 7515 §3.1) with one key. Belongs to one worker.
///
/// Nothing of the payload is read before the signature has been checked. The header has to be: it is kept with its verdict,
/// as few different ones exist, so that a flood of forged tokens costs one HMAC each and never a JSON text.
public final class TokenVerifier {
    /// The longest token that is looked at, in bytes.
    public static let maximumTokenBytes = 65_536
    private static let maximumKnownHeaders = 64
    /// The longest header segment that is looked at. It is read before the signature is checked, so anybody can have it read.
    private static let maximumHeaderBytes = 1024

    private let context: HMACContext
    private let leewaySeconds: Double
    private var knownHeaders: [[UInt8]: TokenRefusal?] = [:]

    /// - Parameter leewaySeconds: by how much the clocks of issuer and verifier may differ.
    public init(key: HMACKey, leewaySeconds: Int = 0) {
        context = HMACContext(key)
        self.leewaySeconds = Double(leewaySeconds)
    }

    /// - Parameter now: Unix seconds.
    public func verify(_ token: Span<UInt8>, now: Double) throws(TokenRefusal) -> VerifiedToken {
        guard token.count <= Self.maximumTokenBytes, let dots = Self.dots(in: token) else { throw .malformed }
        try checkHeader(token.extracting(0..<dots.first))
        guard let signature = Base64URL.decode(token.extracting(dots.second + 1..<token.count)) else { throw .malformed }
        // The length too: a code that could not be made is empty, and must equal nothing.
        guard signature.count == HMACKey.signatureBytes,
            isEqualInConstantTime(signature, context.authenticate(token.extracting(0..<dots.second)))
        else {
            throw .signatureInvalid
        }
        guard let payload = Base64URL.decode(token.extracting(dots.first + 1..<dots.second)),
            case .object(let claims)? = try? JSONValue.parse(payload.span)
        else { throw .malformed }
        return try checkTimes(claims, now: now)
    }

    /// Where the two dots of a compact JWS stand; nil where there are not exactly two.
    private static func dots(in token: Span<UInt8>) -> (first: Int, second: Int)? {
        var found: [Int] = []
        for index in token.indices where token[index] == UInt8(ascii: ".") {
            found.append(index)
            if found.count > 2 { return nil }
        }
        return found.count == 2 ? (found[0], found[1]) : nil
    }

    private func checkHeader(_ segment: Span<UInt8>) throws(TokenRefusal) {
        guard segment.count <= Self.maximumHeaderBytes else { throw .malformed }
        var segmentBytes: [UInt8] = []
        for index in segment.indices { segmentBytes.append(segment[index]) }
        if let known = knownHeaders[segmentBytes] {
            if let refusal = known { throw refusal }
            return
        }
        let refusal = Self.refusal(ofHeader: segment)
        // Forged headers may push the good one out; then it is read again, which costs no more than before it was known.
        if knownHeaders.count >= Self.maximumKnownHeaders { knownHeaders.removeAll(keepingCapacity: true) }
        knownHeaders[segmentBytes] = .some(refusal)
        if let refusal { throw refusal }
    }

    /// Keys that a header carries or points to (`jwk`, `jku`, `x5u`, `x5c`) are not looked at: no key comes from a token.
    private static func refusal(ofHeader segment: Span<UInt8>) -> TokenRefusal? {
        guard let text = Base64URL.decode(segment), case .object(let header)? = try? JSONValue.parse(text.span),
            let algorithm = header["alg"]?.string
        else { return .malformed }
        if let type = header["typ"], type.string == nil { return .malformed }
        guard algorithm == HMACKey.algorithm else { return .algorithmNotAllowed }
        guard header["crit"] == nil, header["b64"] == nil else { return .extensionUnknown }
        return nil
    }

    private func checkTimes(_ claims: JSONObject, now: Double) throws(TokenRefusal) -> VerifiedToken {
        let expiresAt = try time("exp", in: claims) ?? .infinity
        guard now < expiresAt + leewaySeconds else { throw .expired }
        if let notBefore = try time("nbf", in: claims), notBefore > now + leewaySeconds { throw .notYetValid }
        return VerifiedToken(claims: claims, expiresAt: expiresAt + leewaySeconds)
    }

    /// A NumericDate (RFC 7519 §2): any finite number.
    private func time(_ name: String, in claims: JSONObject) throws(TokenRefusal) -> Double? {
        guard let claim = claims[name] else { return nil }
        guard let seconds = claim.number?.double else { throw .malformed }
        return seconds
    }
}

/// Signs tokens, for `gatehouse token` and for tests.
public enum TokenSigner {
    /// A compact JWT of `claims`, signed HS256.
    public static func sign(_ claims: JSONObject, with key: HMACKey) -> String {
        let header = JSONValue.object(JSONObject([("alg", .string(HMACKey.algorithm)), ("typ", .string("JWT"))]))
        let signed = Base64URL.encode(header.serialized) + "." + Base64URL.encode(JSONValue.object(claims).serialized)
        let signature = HMACContext(key).authenticate(Array(signed.utf8).span)
        return signed + "." + Base64URL.encode(signature)
    }
}
