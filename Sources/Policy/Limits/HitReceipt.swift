/// What a store did with a hit: enough to judge it, and to give it back.
public struct HitReceipt: Sendable, Hashable {
    /// Where it was charged.
    public enum Charge: Sendable, Hashable {
        /// Nowhere: it asked only, or its limit refused it where that is decided as it is counted.
        case nothing
        /// To the window of this number, whether it is admitted or not.
        case window(Int64)
        /// To a bucket that would be full again at this moment if no more hits came.
        case bucket(refilledAtUnixMilliseconds: Int64)
        /// To a log, where it has this id.
        case log(id: Int)
    }

    public let charge: Charge
    /// The moment at which it was counted, by the clock of the store that counted it: judge it at this one.
    public let unixMilliseconds: Int64
    /// Whether this process counted it by itself, since the shared store was lost.
    public let isFallback: Bool
    /// Whether it was counted so after the shared store had been asked, which may count it too, too late.
    public let isLate: Bool

    public init(_ charge: Charge, unixMilliseconds: Int64, isFallback: Bool = false, isLate: Bool = false) {
        self.isLate = isLate
        self.charge = charge
        self.unixMilliseconds = unixMilliseconds
        self.isFallback = isFallback
    }
}
