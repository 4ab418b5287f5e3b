import Bytes
import JSON

/// What of a token's header counts (RFC 7515 §4.1).
struct TokenHeader {
    /// The longest header segment that is looked at, in bytes. It is read before the signature is checked, so anybody can have it read;
    /// but one may carry a chain of certificates.
    static let maximumSegmentBytes = 8192

    let algorithm: SignatureAlgorithm
    let keyID: [UInt8]?
    let type: String?

    /// Keys that a header carries or points to (`jwk`, `jku`, `x5u`, `x5c`) are not looked at: no key comes from a token.
    ///
    /// - Parameter segment: as it stands in the token, in base64url.
    init(_ segment: Span<UInt8>) throws(TokenRefusal) {
        guard segment.count <= Self.maximumSegmentBytes, let text = Base64URL.decode(segment),
            case .object(let header)? = try? JSONValue.parse(text), let name = try header.text("alg")
        else { throw .malformed }
        keyID = try header.text("kid").map { Array($0.utf8) }
        type = try header.text("typ")
        guard let algorithm = SignatureAlgorithm(rawValue: name) else { throw .algorithmNotAllowed }
        self.algorithm = algorithm
        // None is understood, so that one refuses, well-formed or not (RFC 7515 §4.1.11). `b64` belongs into `crit`
        // (RFC 7797 §6), and `zip` is JWE's: a token with either means something other than its bytes.
        for name in ["crit", "b64", "zip"] where header[name] != nil { throw .extensionUnknown }
    }
}

extension JSONObject {
    /// A parameter that must be a string where it is there.
    fileprivate func text(_ name: String) throws(TokenRefusal) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.string else { throw .malformed }
        return text
    }
}

/// The headers that were read last, each with its verdict: few different ones exist, and a known one costs no JSON.
///
/// A header has one slot that it can be in, so that what a flood of forged ones pushes out is read again, which costs no more than
/// before it was known.
struct KnownHeaders {
    private static let slotCount = 64
    private static let maximumKeptBytes = 4096

    private var slots = [(segment: [UInt8], verdict: Result<TokenHeader, TokenRefusal>)?](repeating: nil, count: slotCount)

    mutating func header(_ segment: Span<UInt8>) throws(TokenRefusal) -> TokenHeader {
        guard segment.count <= Self.maximumKeptBytes else { return try TokenHeader(segment) }
        let slot = Self.slot(of: segment)
        if let known = slots[slot], segment.equals(known.segment.span) { return try known.verdict.get() }
        let verdict = Result { () throws(TokenRefusal) in try TokenHeader(segment) }
        slots[slot] = (segment.array, verdict)
        return try verdict.get()
    }

    /// FNV-1a. Who makes headers collide gains what a flood of different ones gains.
    private static func slot(of segment: Span<UInt8>) -> Int {
        var hash: UInt32 = 0x811c_9dc5
        for index in segment.indices { hash = (hash ^ UInt32(segment[index])) &* 0x0100_0193 }
        return Int(hash % UInt32(slotCount))
    }
}
