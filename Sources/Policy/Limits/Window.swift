/// The windows that time is cut into for one limit: number `n` is the seconds from `n` × length up to the next one's start.
public struct Window: Sendable, Hashable {
    /// The lengths a window may have, in seconds: up to a leap year.
    public static let acceptedSeconds = 1...31_622_400

    public let lengthSeconds: Int

    /// - Precondition: `lengthSeconds` is one of ``acceptedSeconds``.
    public init(lengthSeconds: Int) {
        precondition(Self.acceptedSeconds.contains(lengthSeconds), "no window is \(lengthSeconds) seconds long")
        self.lengthSeconds = lengthSeconds
    }

    /// The window that a moment is in; moments before 1970 count as 1970.
    public func number(at unixSeconds: Int64) -> Int64 { max(unixSeconds, 0) / Int64(lengthSeconds) }

    /// The window that a moment is in; moments before 1970 count as 1970.
    public func number(atMilliseconds unixMilliseconds: Int64) -> Int64 { max(unixMilliseconds, 0) / lengthMilliseconds }

    /// Where window `number` ends and the next begins, in Unix seconds.
    public func end(of number: Int64) -> Int64 { (number + 1) * Int64(lengthSeconds) }

    var lengthMilliseconds: Int64 { Int64(lengthSeconds) * 1000 }
}
