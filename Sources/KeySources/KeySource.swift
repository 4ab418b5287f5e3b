import JSONWebToken

/// Where the keys of one issuer come from.
public struct KeySource: Sendable {
    enum Origin: Sendable {
        case fixed(KeySet)
        case file(path: String)
        case remote(RemoteKeys)
    }

    /// What the operator calls the issuer: for the log.
    public let name: String
    let origin: Origin
    let rules: RefreshRules

    /// Keys that never change.
    public static func fixed(_ name: String, _ keys: KeySet) -> KeySource {
        KeySource(name: name, origin: .fixed(keys), rules: RefreshRules())
    }

    /// A file in PEM, a JWK or a JWK Set, looked at every second and read again when it has changed.
    public static func file(_ name: String, path: String, unknownKeyIntervalSeconds: Int = 30) -> KeySource {
        KeySource(name: name, origin: .file(path: path), rules: RefreshRules(unknownKeyIntervalSeconds: unknownKeyIntervalSeconds))
    }

    /// Reads what a file holds.
    static func parse(_ bytes: [UInt8]) throws(UnusableKeySource) -> KeySet {
        do { return try KeySet(bytes) } catch { throw UnusableKeySource("\(error)") }
    }

    /// The JWK Set at an address (RFC 7517 §5).
    ///
    /// - Parameters:
    ///   - caFile: the authorities to trust, in PEM; the system's where it is nil.
    ///   - allowsInsecure: whether `http` may be used to other hosts than this one.
    /// - Throws: ``UnusableKeySource`` for an address that may not be fetched.
    public static func url(
        _ name: String, _ address: String, rules: RefreshRules = RefreshRules(), caFile: String? = nil, allowsInsecure: Bool = false
    ) throws(UnusableKeySource) -> KeySource {
        let address = try KeyAddress(address, admitting: allowsInsecure ? .anyHTTP : .loopbackHTTP)
        let remote = RemoteKeys(address: address, issuer: nil, caFile: caFile, allowsInsecure: allowsInsecure)
        return KeySource(name: name, origin: .remote(remote), rules: rules)
    }

    /// The JWK Set that an issuer's discovery document names (OpenID Connect Discovery 1.0 §4). Each refresh reads the
    /// document too, so an issuer may move its keys.
    ///
    /// - Parameters:
    ///   - issuer: exactly as its tokens and its document spell it.
    ///   - caFile: the authorities to trust, in PEM; the system's where it is nil.
    ///   - allowsInsecure: whether `http` may be used to other hosts than this one.
    /// - Throws: ``UnusableKeySource`` for an issuer whose document may not be fetched.
    public static func openID(
        _ name: String, issuer: String, rules: RefreshRules = RefreshRules(), caFile: String? = nil, allowsInsecure: Bool = false
    ) throws(UnusableKeySource) -> KeySource {
        let address = try KeyAddress(discoveryOf: issuer, admitting: allowsInsecure ? .anyHTTP : .loopbackHTTP)
        let remote = RemoteKeys(address: address, issuer: issuer, caFile: caFile, allowsInsecure: allowsInsecure)
        return KeySource(name: name, origin: .remote(remote), rules: rules)
    }
}

/// A source that can't be used, or not now: what was found and what is accepted.
public struct UnusableKeySource: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
