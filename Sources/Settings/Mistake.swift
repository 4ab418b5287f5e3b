/// Something in the configuration that can't be meant, as a line to print: `file:line: what was found; what is accepted`.
public struct Mistake: Sendable, Equatable, CustomStringConvertible {
    /// `policyd.yaml:3`, or the name of an environment variable.
    public let place: String
    public let found: String
    /// Nil where `found` says it all.
    public let accepted: String?

    public var description: String { "\(place): \(found)" + (accepted.map { "; accepted is \($0)" } ?? "") }
}

/// A configuration with mistakes: all of them, those of the file first and in the order of its lines.
public struct InvalidConfiguration: Error, Equatable, CustomStringConvertible {
    public let mistakes: [Mistake]

    public var description: String { mistakes.map(\.description).joined(separator: "\n") }
}
