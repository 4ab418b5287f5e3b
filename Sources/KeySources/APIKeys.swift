import JSON
import JSONWebToken

/// Whoever presents one key.
public struct APIKey: Sendable {
    /// The beginning of the key's SHA-256: what it is called where the key itself must not stand.
    public let id: String
    public let subject: String
    /// What acts like the claims of a token. There is no `sub` among them: that is the subject.
    public let attributes: JSONObject
}

/// All API keys of a file, found by their SHA-256. Immutable, shared by all workers.
public final class APIKeys: Sendable {
    private let keys: [SHA256Digest: APIKey]

    init(_ keys: [SHA256Digest: APIKey]) { self.keys = keys }

    public var count: Int { keys.count }

    /// Whose the presented key is; nil where nobody has it. What is compared are digests, which whoever presents the key
    /// can't choose, and in constant time.
    public func find(_ key: Span<UInt8>) -> APIKey? { keys[SHA256Digest(of: key)] }
}

/// The file with the API keys, looked at every second and read again when it has changed.
public struct APIKeySource: Sendable {
    /// How long the file may be.
    public static let maximumBytes = 64 << 20

    let path: String
    let maximumCount: Int

    /// - Parameter maximumCount: how many keys the file may have; 1,000,000 at the most, whatever it says.
    public init(path: String, maximumCount: Int = 1_000_000) {
        self.path = path
        self.maximumCount = min(maximumCount, 1_000_000)
    }

    /// Reads the file once, to see whether it can be used.
    ///
    /// - Throws: ``UnusableKeySource``, which says what is wrong with it.
    public func check() throws(UnusableKeySource) {
        var file = WatchedFile(path: path, maximumBytes: Self.maximumBytes)
        if let bytes = try file.look(nowUnixMilliseconds: 0) { _ = try parse(bytes) }
    }

    @Sendable func parse(_ bytes: [UInt8]) throws(UnusableKeySource) -> APIKeys {
        try APIKeys(reading: bytes, maximumCount: maximumCount)
    }
}
