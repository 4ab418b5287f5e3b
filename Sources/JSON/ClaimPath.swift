/// Where in a token's claims a value stands: the names of members, from the outermost, with dots between them, as in
/// `realm_access.roles`.
///
/// A name with anything but letters, digits, `_` and `-` stands in double quotes, within which `\"` and `\\` are a quote and a
/// backslash: `"https://example.com/app".roles`. So a dot never means two things, and no token can choose between them.
public struct ClaimPath: Sendable, Hashable, CustomStringConvertible {
    public static let maximumBytes = 16_384

    /// As it was written.
    public let description: String
    private let first: String
    private let others: [String]

    /// The path of the claim of this name, whatever stands in it.
    public init(name: String) {
        let isPlain = !name.isEmpty && name.utf8.allSatisfy(ClaimPathReader.isPlain)
        description = isPlain ? name : "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        first = name
        others = []
    }

    /// Reads a path as an operator writes it.
    public init(_ text: String) throws(InvalidClaimPath) {
        guard text.utf8.count <= Self.maximumBytes else {
            throw InvalidClaimPath("a claim's path has \(text.utf8.count) bytes, more than \(Self.maximumBytes)")
        }
        var reader = ClaimPathReader(Array(text.utf8))
        do throws(InvalidClaimPath) {
            (first, others) = try reader.names()
        } catch {
            throw InvalidClaimPath("the claim \(text.debugDescription) \(error.description)")
        }
        description = text
    }

    /// The value; nil where a member of the path is missing, or something else than an object stands before its end.
    public func value(in claims: JSONObject) -> JSONValue? {
        guard var value = claims[first] else { return nil }
        for name in others {
            guard let next = value.object?[name] else { return nil }
            value = next
        }
        return value
    }
}

/// Why a text is no claim's path: what was found, and what is accepted.
public struct InvalidClaimPath: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

private struct ClaimPathReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func names() throws(InvalidClaimPath) -> (first: String, others: [String]) {
        let first = try name()
        var others: [String] = []
        while offset < bytes.count {
            guard bytes[offset] == UInt8(ascii: ".") else {
                throw InvalidClaimPath(#"has a character that only double quotes allow: names of other than letters, digits, _ and - are written "https://example.com/roles""#)
            }
            offset += 1
            others.append(try name())
        }
        return (first, others)
    }

    /// Letters, digits, `_` and `-`.
    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private mutating func name() throws(InvalidClaimPath) -> String {
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") { return try quotedName() }
        let start = offset
        while offset < bytes.count, Self.isPlain(bytes[offset]) { offset += 1 }
        guard offset > start || offset < bytes.count && bytes[offset] != UInt8(ascii: ".") else {
            throw InvalidClaimPath("has an empty name: accepted are names with dots between them, as in realm_access.roles")
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func quotedName() throws(InvalidClaimPath) -> String {
        var name: [UInt8] = []
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: name, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") || bytes[offset] == UInt8(ascii: "\\") else {
                    throw InvalidClaimPath(#"has a backslash in quotes before something else than " or \"#)
                }
                name.append(bytes[offset])
                offset += 1
            default: name.append(byte)
            }
        }
        throw InvalidClaimPath("has a quote that isn't closed")
    }
}
