import Bytes
import JSON

/// A token whose signature and claims hold.
public struct VerifiedToken: Sendable {
    public let claims: JSONObject
    /// The claims' JSON text, as it was signed.
    public let payload: [UInt8]
    /// Unix seconds, leeway included: the token is good before this moment only. Infinite where nothing ends it.
    public let expiresAtUnixSeconds: Double
    /// Which of the verifier's issuers it is from.
    public let issuerIndex: Int
}

/// Verifies compact JWTs (RFC 7519, RFC 7515 §3.1) of the issuers that it was made with. Belongs to one worker.
///
/// Of the payload nothing is believed before the signature has been checked, and nothing is used but `iss`, where several
/// issuers must be told apart. The header has to be read: it is kept with its verdict, so that a flood of forged tokens costs
/// one signature check each and never more than a good one.
public final class TokenVerifier {
    /// The longest token that is looked at, in bytes.
    public static let maximumTokenBytes = 65_536
    /// How many keys may be tried for one token, where it does not name one, or several have the name.
    static let maximumChecks = 4

    private let issuers: [TrustedIssuer]
    private let everyIssuer: [Int]
    /// The keys of each issuer; nil where they have not been had.
    private let keyrings: [[KeyInUse]?]
    private var headers = KnownHeaders()
    /// That of the token being verified.
    private let signature = ByteBuffer(capacity: 512)

    public init(_ issuers: [TrustedIssuer]) {
        self.issuers = issuers
        everyIssuer = Array(issuers.indices)
        keyrings = issuers.enumerated().map { index, issuer in issuer.keys?.keys.map { KeyInUse($0, issuerIndex: index) } }
    }

    public func verify(_ token: Span<UInt8>, nowUnixSeconds now: Double) throws(TokenRefusal) -> VerifiedToken {
        guard token.count <= Self.maximumTokenBytes, let dots = Self.dots(in: token) else { throw .malformed }
        let header = try headers.header(token.extracting(0..<dots.first))
        signature.clear()
        guard Base64URL.decode(token.extracting(dots.second + 1..<token.count), to: signature) else { throw .malformed }
        let segment = token.extracting(dots.first + 1..<dots.second)
        // With one issuer the payload is not touched before the signature holds.
        let unverified = issuers.count > 1 ? try Payload(segment) : nil
        let key = try signer(of: token.extracting(0..<dots.second), header, issuers: try trusted(unverified))
        let payload: Payload = if let unverified { unverified } else { try Payload(segment) }
        let issuer = issuers[key.issuerIndex]
        if let expected = issuer.issuer {
            guard let name = payload.claims["iss"]?.string, name.utf8.elementsEqual(expected.utf8) else { throw .issuerUnknown }
        }
        let end = try issuer.requirements.check(payload.claims, type: header.type, nowUnixSeconds: now)
        return VerifiedToken(claims: payload.claims, payload: payload.text, expiresAtUnixSeconds: end, issuerIndex: key.issuerIndex)
    }

    private struct Payload {
        let text: [UInt8]
        let claims: JSONObject

        init(_ segment: Span<UInt8>) throws(TokenRefusal) {
            guard let text = Base64URL.decode(segment), case .object(let claims)? = try? JSONValue.parse(text) else {
                throw .malformed
            }
            self.text = text
            self.claims = claims
        }
    }

    /// Where the two dots of a compact JWS stand; nil where there are not exactly two.
    private static func dots(in token: Span<UInt8>) -> (first: Int, second: Int)? {
        let dot = UInt8(ascii: ".")
        guard let first = token.firstIndex(of: dot), let second = token.firstIndex(of: dot, from: first + 1),
            token.firstIndex(of: dot, from: second + 1) == nil
        else { return nil }
        return (first, second)
    }

    /// The issuers that `iss` names, else those that take any; all, where the payload need not be read.
    private func trusted(_ payload: Payload?) throws(TokenRefusal) -> [Int] {
        guard let payload else { return everyIssuer }
        let name = payload.claims["iss"]?.string
        var found = issuers.indices.filter { index in
            guard let name, let issuer = issuers[index].issuer else { return false }
            return issuer.utf8.elementsEqual(name.utf8)
        }
        if found.isEmpty { found = issuers.indices.filter { issuers[$0].issuer == nil } }
        guard !found.isEmpty else { throw .issuerUnknown }
        return found
    }

    /// The key that made ``signature``: those that the header admits are tried in their order.
    private func signer(
        of signed: Span<UInt8>, _ header: TokenHeader, issuers indices: [Int]
    ) throws(TokenRefusal) -> KeyInUse {
        let signature = signature
        let signatureBytes = signature.bytes
        var checkCount = 0
        var unavailable: Int?
        var withoutSuchKey: [Int] = []
        for index in indices {
            guard let keyring = keyrings[index] else {
                unavailable = unavailable ?? index
                continue
            }
            let isSet = issuers[index].keys?.isJWKSet == true
            var isNamed = false
            for key in keyring where Self.isNamed(key.key, by: header.keyID, inSet: isSet) {
                isNamed = true
                guard key.admits(header.algorithm), checkCount < Self.maximumChecks else { continue }
                checkCount += 1
                if key.holds(signatureBytes, over: signed, header.algorithm) { return key }
            }
            if !isNamed { withoutSuchKey.append(index) }
        }
        // The keys that are not there might include the right one.
        if let unavailable { throw .keysUnavailable(issuerIndex: unavailable) }
        guard checkCount == 0 else { throw .signatureInvalid }
        guard !indices.isEmpty else { throw .issuerUnknown }
        // A key without a name beside them, a shared secret say, takes any `kid`, and then not the algorithm.
        throw withoutSuchKey.isEmpty ? .algorithmNotAllowed : .keyUnknown(issuerIndices: withoutSuchKey)
    }

    /// A token without a `kid` fits every key; a single key without one fits every token.
    private static func isNamed(_ key: VerificationKey, by keyID: [UInt8]?, inSet isSet: Bool) -> Bool {
        guard let keyID else { return true }
        guard let id = key.id else { return !isSet }
        return id.utf8.elementsEqual(keyID)
    }
}
