/// Why a text is no key to verify with: what was found, and what is accepted.
public struct UnusableKey: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ found: String, accepted: String? = nil) {
        description = accepted.map { "\(found); accepted: \($0)" } ?? found
    }
}
