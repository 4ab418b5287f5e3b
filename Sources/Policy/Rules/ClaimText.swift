import Bytes
import JSON

/// What became of a text that is made of values.
enum Rendering: Sendable, Equatable {
    /// It was appended.
    case value
    /// A value that has no default is missing; nothing was appended.
    case missing
    /// The values make a text that may not stand where it should; nothing was appended.
    case unfit
}

extension JSONValue {
    /// Appends a text, a number as it is written, `true` or `false`.
    ///
    /// - Returns: `missing` for null, `unfit` for lists and objects.
    func appendScalar(escaping: TextEscaping = .none, to buffer: ByteBuffer) -> Rendering {
        switch self {
        case .string(let text):
            // Most texts are in UTF-8 and need no copy.
            if case .none = escaping {
                buffer.append(utf8: text)
            } else {
                escaping.append(Array(text.utf8).span, to: buffer)
            }
            return .value
        case .number(let number):
            buffer.append(utf8: number.text)
            return .value
        case .bool(let value):
            buffer.append(value ? "true" : "false")
            return .value
        case .null: return .missing
        case .array, .object: return .unfit
        }
    }

    /// Appends the same, or a list's elements with a separator between them.
    ///
    /// - Parameter separator: no element may have it, as a reader would take that for two.
    /// - Returns: `missing` for null and an empty list as well; `unfit` for an object, and a list that has an element of a kind
    ///   that can't be appended.
    func appendText(separator: [UInt8], escaping: TextEscaping = .none, to buffer: ByteBuffer) -> Rendering {
        guard case .array(let elements) = self else { return appendScalar(escaping: escaping, to: buffer) }
        guard !elements.isEmpty else { return .missing }
        let start = buffer.count
        for (index, element) in elements.enumerated() {
            if index > 0 { buffer.append(separator) }
            if case .string(let text) = element, elements.count > 1, text.utf8.contains(separator) {
                buffer.truncate(to: start)
                return .unfit
            }
            guard element.appendScalar(escaping: escaping, to: buffer) == .value else {
                buffer.truncate(to: start)
                return .unfit
            }
        }
        return .value
    }
}

extension String.UTF8View {
    /// Whether `bytes`, which are not empty, stand anywhere in the text.
    fileprivate func contains(_ bytes: [UInt8]) -> Bool {
        indices.contains { self[$0...].starts(with: bytes) }
    }
}
