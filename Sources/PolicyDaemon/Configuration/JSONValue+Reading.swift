import JSON
import Settings

extension JSONValue {
    /// Nil for a number that JSON doesn't have: what YAML takes for a plain one is more, as `007`, `+1` and `.5`.
    public init?(_ scalar: TypedScalar) {
        switch scalar {
        case .text(let text): self = .string(text)
        case .truth(let truth): self = .bool(truth)
        case .number(let digits):
            guard let number = try? JSONValue.parse(Array(digits.utf8).span), number.number != nil else { return nil }
            self = number
        }
    }
}
