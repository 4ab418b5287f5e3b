import Bytes
import JSON

/// How a value is written into a text, so that it stays a value there.
enum TextEscaping: Sendable {
    /// As it is: into a header, which is judged as a whole, or into plain text.
    case none
    /// As part of a JSON string.
    case json
    /// As part of an element or a quoted attribute.
    case markup

    /// What the content of this type needs (RFC 9110 §8.3.1).
    init(contentType: String) {
        let type = String(decoding: contentType.utf8.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }, as: UTF8.self).lowercased()
        if type.hasSuffix("/json") || type.hasSuffix("+json") {
            self = .json
        } else if type == "text/html" || type.hasSuffix("/xml") || type.hasSuffix("+xml") {
            self = .markup
        } else {
            self = .none
        }
    }

    func append(_ value: Span<UInt8>, to buffer: ByteBuffer) {
        switch self {
        case .none: buffer.append(value)
        case .json: buffer.append(jsonCharacters: value)
        case .markup:
            for index in value.indices {
                switch value[index] {
                case UInt8(ascii: "&"): buffer.append("&amp;")
                case UInt8(ascii: "<"): buffer.append("&lt;")
                case UInt8(ascii: ">"): buffer.append("&gt;")
                case UInt8(ascii: "\""): buffer.append("&quot;")
                case UInt8(ascii: "'"): buffer.append("&#39;")
                case let byte: buffer.append(byte)
                }
            }
        }
    }
}
