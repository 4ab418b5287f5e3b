/// Where in a token's claims a value stands: the names of members, from the outermost, with dots between them, as in
/// `realm_access.roles`.
///
/// A name with anything but letters, digits, `_` and `-` stands in double quotes, within which `\"` and `\\` are a quote and a
/// backslash: `"https://example.com/app".roles`. So a dot never means two things, and no token can choose between them.
public struct ClaimPath: Sendable, Hashable, CustomStringConvertible {
    public static let maximumBytes = 16_384

    /// A class, since rules have many that every token is asked for.
    private final class Names: Sendable {
        let description: String
        let first: [UInt8]
        let others: [[UInt8]]

        init(_ description: String, first: [UInt8], others: [[UInt8]] = []) {
            self.description = description
            self.first = first
            self.others = others
        }
    }

    private let names: Names

    /// The path of the claim of this name, whatever stands in it.
    public init(name: String) {
        let isPlain = !name.isEmpty && name.utf8.allSatisfy(ClaimPathReader.isPlain)
        let description = isPlain ? name : "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        names = Names(description, first: Array(name.utf8))
    }

    /// Reads a path as an operator writes it.
    public init(_ text: String) throws(InvalidClaimPath) {
        guard text.utf8.count <= Self.maximumBytes else {
            throw InvalidClaimPath("a claim's path has \(text.utf8.count) bytes, more than \(Self.maximumBytes)")
        }
        var reader = ClaimPathReader(Array(text.utf8))
        do throws(InvalidClaimPath) {
            let (first, others) = try reader.names()
            names = Names(text, first: first, others: others)
        } catch {
            throw InvalidClaimPath("the claim \(text.debugDescription) \(error.description)")
        }
    }

    /// As it was written.
    public var description: String { names.description }

    public static func == (left: ClaimPath, right: ClaimPath) -> Bool { left.description == right.description }

    public func hash(into hasher: inout Hasher) { hasher.combine(description) }

    /// The value; nil where a member of the path is missing, or something else than an object stands before its end.
    public func value(in claims: JSONObject) -> JSONValue? {
        let first = names.first
        guard var value = claims[first.span] else { return nil }
        for name in names.others {
            guard let next = value.object?[name.span] else { return nil }
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

    mutating func names() throws(InvalidClaimPath) -> (first: [UInt8], others: [[UInt8]]) {
        let first = try name()
        var others: [[UInt8]] = []
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

    private mutating func name() throws(InvalidClaimPath) -> [UInt8] {
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") { return try quotedName() }
        let start = offset
        while offset < bytes.count, Self.isPlain(bytes[offset]) { offset += 1 }
        guard offset > start || offset < bytes.count && bytes[offset] != UInt8(ascii: ".") else {
            throw InvalidClaimPath("has an empty name: accepted are names with dots between them, as in realm_access.roles")
        }
        return Array(bytes[start..<offset])
    }

    private mutating func quotedName() throws(InvalidClaimPath) -> [UInt8] {
        var name: [UInt8] = []
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return name
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
