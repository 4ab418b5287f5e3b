/// A value whose type is a matter of how it is written: `true` is a truth value, `7` a number, and all in quotes a text.
public enum TypedScalar: Hashable, Sendable {
    case text(String)
    /// As it is written.
    case number(String)
    case truth(Bool)
}

extension TypedScalar {
    init(_ scalar: Scalar) {
        guard scalar.isPlain else {
            self = .text(scalar.text)
            return
        }
        self = switch scalar.text {
        case "true": .truth(true)
        case "false": .truth(false)
        default: Double(scalar.text).map { $0.isFinite } == true ? .number(scalar.text) : .text(scalar.text)
        }
    }

    /// As it is written.
    public var text: String {
        switch self {
        case .text(let text), .number(let text): text
        case .truth(let truth): truth ? "true" : "false"
        }
    }
}

extension Form where Value == TypedScalar {
    public static var typedScalar: Form { Form(accepted: "a text, a number, true or false", scalar: TypedScalar.init) }
}
