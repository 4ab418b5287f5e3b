/// A part of a rule that can't be used: what was found, and what is accepted.
public struct RuleMistake: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// How much a rule may ask for. A configuration over a limit is refused; a request over one is denied.
public enum RuleLimits {
    public static let rules = 1024
    /// Counted at one time, before authentication or after it: whoever counts tells a rule's hits, and what could revoke the token,
    /// apart by the bits of one number.
    public static let limitsPerRule = 32
    public static let pathSegments = 64
    public static let pathPatternBytes = 2048
    /// Different methods in all rules together.
    public static let methods = 32
    public static let methodBytes = 64
    public static let hostBytes = 255
    public static let templateBytes = 16_384
    public static let headerNameBytes = 255
    public static let reasonBytes = 64
    public static let limitNameBytes = 64
    /// Of a counter's key, so that no client fills the store with long ones.
    public static let limitKeyBytes = 1024
}

/// Text for a message: what an operator wrote, in quotes, its control characters harmless.
func quoted(_ text: some StringProtocol) -> String { String(text).debugDescription }
