/// A header as it is set or, where there is no value, removed.
public struct HeaderChange: Sendable, Equatable {
    /// In lower case.
    public let name: [UInt8]
    public let value: [UInt8]?
}
