import JSON

/// The keys of one issuer.
public struct KeySet: Sendable {
    public let keys: [VerificationKey]
    /// Whether this is a JWK Set: then a `kid` that a token names must be one of a key's. A single key without a `kid` takes
    /// tokens whatever they name.
    public let isJWKSet: Bool

    /// The longest text that is read, in bytes.
    public static let maximumBytes = 1 << 20
    /// How many keys a set may have.
    public static let maximumKeys = 256

    private init(keys: [VerificationKey], isJWKSet: Bool) {
        self.keys = keys
        self.isJWKSet = isJWKSet
    }

    public init(_ key: VerificationKey) { self.init(keys: [key], isJWKSet: false) }

    /// A JWK, a JWK Set, or PEM: a public key, a certificate, or a private key, of which the public half is used.
    public init(_ bytes: [UInt8]) throws(UnusableKey) {
        guard let first = bytes.first(where: { !" \t\r\n".utf8.contains($0) }) else {
            throw UnusableKey("nothing", accepted: Self.accepted)
        }
        if first == UInt8(ascii: "{") {
            let object = try Self.object(bytes)
            try self.init(object["keys"] == nil ? .jwk : .jwks, object)
        } else {
            try self.init(pem: bytes)
        }
    }

    /// A JWK Set (RFC 7517 §5). A key that is not understood, or is for something else, is passed over; there must be one that is left.
    public init(jwks bytes: [UInt8]) throws(UnusableKey) { try self.init(.jwks, Self.object(bytes)) }

    public init(jwk bytes: [UInt8]) throws(UnusableKey) { try self.init(.jwk, Self.object(bytes)) }

    public init(pem bytes: [UInt8]) throws(UnusableKey) { self.init(try OpenSSLPEM.verificationKey(bytes)) }

    /// What its keys admit, taken together.
    public var algorithms: Set<SignatureAlgorithm> { keys.reduce(into: []) { $0.formUnion($1.algorithms) } }

    /// The same keys, admitting no other algorithms than these. One that then admits none stays: a token that names it is not one of
    /// an unknown key.
    public func narrowed(to algorithms: Set<SignatureAlgorithm>) -> KeySet {
        KeySet(keys: keys.map { $0.narrowed(to: algorithms) }, isJWKSet: isJWKSet)
    }

    private static let accepted = "a JWK, a JWK Set, or PEM with a public key, a certificate or a private key"

    private enum Form { case jwk, jwks }

    private init(_ form: Form, _ object: JSONObject) throws(UnusableKey) {
        guard object["keys"] == nil || object["kty"] == nil else {
            throw UnusableKey("JSON with both kty and keys", accepted: "kty in a JWK, or keys in a JWK Set")
        }
        switch form {
        case .jwk: self.init(try JSONWebKey(object).verificationKey())
        case .jwks: try self.init(keys: Self.keys(ofSet: object), isJWKSet: true)
        }
    }

    private static func object(_ bytes: [UInt8]) throws(UnusableKey) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(bytes, maximumBytes: maximumBytes)
        } catch {
            throw UnusableKey("JSON that cannot be read: \(error)", accepted: accepted)
        }
        guard let object = value.object else { throw UnusableKey("JSON that is no object", accepted: accepted) }
        return object
    }

    private static func keys(ofSet object: JSONObject) throws(UnusableKey) -> [VerificationKey] {
        guard case .array(let elements)? = object["keys"] else { throw UnusableKey("a JWK Set whose keys is no list") }
        guard elements.count <= maximumKeys else {
            throw UnusableKey("a JWK Set of \(elements.count) keys", accepted: "at most \(maximumKeys)")
        }
        var keys: [VerificationKey] = []
        var complaints: [String] = []
        for (number, element) in elements.enumerated() {
            do throws(UnusableKey) {
                guard let members = element.object else { throw UnusableKey("a key that is no object") }
                keys.append(try JSONWebKey(members).verificationKey())
            } catch {
                complaints.append("key \(number + 1): \(error)")
            }
        }
        guard !keys.isEmpty else {
            throw UnusableKey("a JWK Set without a usable key" + complaints.prefix(4).map { "; " + $0 }.joined())
        }
        return keys
    }
}
