import JSON

/// Where in a token's claims a value stands: the names of members, from the outermost, with dots between them, as in
/// `realm_access.roles`.
///
/// A name with anything but letters, digits, `_` and `-` stands in double quotes, within which `\"` and `\\` are a quote and a
/// backslash: `"https://example.com/app".roles`. So a dot never means two things, and no token can choose between them.
public struct ClaimPath: Sendable, Hashable, CustomStringConvertible {
    /// As it was written.
    public let description: String
    let names: [String]

    public init(_ text: String) throws(RuleMistake) {
        guard text.utf8.count <= RuleLimits.templateBytes else {
            throw RuleMistake("a claim's path has \(text.utf8.count) bytes, more than \(RuleLimits.templateBytes)")
        }
        var reader = ClaimPathReader(Array(text.utf8))
        do throws(RuleMistake) {
            names = try reader.names()
        } catch {
            throw RuleMistake("the claim \(quoted(text)) \(error.description)")
        }
        description = text
    }

    /// The value; nil where a member of the path is missing, or something else than an object stands before its end.
    public func value(in claims: JSONObject) -> JSONValue? {
        guard var value = claims[names[0]] else { return nil }
        for name in names.dropFirst() {
            guard let next = value.object?[name] else { return nil }
            value = next
        }
        return value
    }
}

private struct ClaimPathReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func names() throws(RuleMistake) -> [String] {
        var names = [try name()]
        while offset < bytes.count {
            guard bytes[offset] == UInt8(ascii: ".") else {
                throw RuleMistake(#"has a character that only double quotes allow: names of other than letters, digits, _ and - are written "https://example.com/roles""#)
            }
            offset += 1
            names.append(try name())
        }
        return names
    }

    private mutating func name() throws(RuleMistake) -> String {
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") { return try quotedName() }
        let start = offset
        while offset < bytes.count, Characters.isPlain(bytes[offset]) { offset += 1 }
        guard offset > start || offset < bytes.count && bytes[offset] != UInt8(ascii: ".") else {
            throw RuleMistake("has an empty name: accepted are names with dots between them, as in realm_access.roles")
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func quotedName() throws(RuleMistake) -> String {
        var name: [UInt8] = []
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: name, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") || bytes[offset] == UInt8(ascii: "\\") else {
                    throw RuleMistake(#"has a backslash in quotes before something else than " or \"#)
                }
                name.append(bytes[offset])
                offset += 1
            default: name.append(byte)
            }
        }
        throw RuleMistake("has a quote that isn't closed")
    }
}
