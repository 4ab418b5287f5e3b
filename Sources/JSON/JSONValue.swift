/// A JSON value (RFC 8259). Numbers keep their digits, objects keep their order.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    public var number: JSONNumber? {
        if case .number(let number) = self { number } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let object) = self { object } else { nil }
    }
}

/// A number as it was written, so that no digit is lost to floating point.
public struct JSONNumber: Sendable, Equatable {
    /// The number's own text, of the grammar of RFC 8259 §6.
    public let text: String

    init(text: String) { self.text = text }

    public init(_ integer: Int64) { text = String(integer) }

    /// The exact value, where it was written as a whole number in 64 bits: `7`, not `7.0` or `7e0`.
    public var integer: Int64? { Int64(text) }

    /// The nearest floating-point value; nil where that is infinite.
    public var double: Double? {
        if let integer { return Double(integer) }
        return Double(text).flatMap { $0.isFinite ? $0 : nil }
    }
}
