/// How a source does, for metrics.
public struct SourceStatus: Sendable, Equatable {
    public let name: String
    /// Whether there are keys, however old.
    public let isAvailable: Bool
    /// Whether the last attempt failed.
    public let isFailing: Bool
    /// Since the source was last found good; nil where it never was, and for keys that come from no source.
    public let ageSeconds: Double?
    /// Attempts so far, and how many of them failed.
    public let fetches: Int
    public let failures: Int
}
