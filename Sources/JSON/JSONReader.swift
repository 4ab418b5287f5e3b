/// What a text is refused for, and at which byte.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    public let message: String
    public let offset: Int
    public var description: String { "\(message) at byte \(offset)" }
}

extension JSONValue {
    /// Reads exactly one JSON text (RFC 8259), strictly: UTF-8 throughout, no duplicate member at any depth, nothing behind it.
    ///
    /// - Parameters:
    ///   - maximumDepth: how deep arrays and objects may nest.
    ///   - maximumBytes: how long the text may be.
    public static func parse(
        _ bytes: Span<UInt8>, maximumDepth: Int = 32, maximumBytes: Int = 65_536
    ) throws(JSONError) -> JSONValue {
        guard bytes.count <= maximumBytes else {
            throw JSONError(message: "the text has \(bytes.count) bytes, more than \(maximumBytes)", offset: maximumBytes)
        }
        var reader = JSONReader(depthLeft: maximumDepth)
        let value = try reader.value(bytes)
        reader.skipSpace(bytes)
        guard reader.offset == bytes.count else { throw reader.refusal("something stands behind the value") }
        return value
    }
}

/// The position in a text being read. Each method takes the bytes anew, since a struct cannot hold a span of them.
struct JSONReader {
    /// Most objects have no more members, so that their list is made in one go.
    private static let usualMemberCount = 8

    var offset = 0
    var depthLeft: Int

    func refusal(_ message: String) -> JSONError { JSONError(message: message, offset: offset) }

    func peek(_ bytes: Span<UInt8>) -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipSpace(_ bytes: Span<UInt8>) {
        while let byte = peek(bytes), byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { offset += 1 }
    }

    /// Nil where the bytes are not UTF-8.
    func text(_ bytes: Span<UInt8>) -> String? {
        guard let valid = try? UTF8Span(validating: bytes) else { return nil }
        return String(copying: valid)
    }

    mutating func value(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
        skipSpace(bytes)
        switch peek(bytes) {
        case UInt8(ascii: "{"): return .object(try object(bytes))
        case UInt8(ascii: "["): return .array(try array(bytes))
        case UInt8(ascii: "\""): return .string(try string(bytes))
        case UInt8(ascii: "t"): return try literal("true", .bool(true), bytes)
        case UInt8(ascii: "f"): return try literal("false", .bool(false), bytes)
        case UInt8(ascii: "n"): return try literal("null", .null, bytes)
        case nil: throw refusal("the text ends where a value should be")
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
            return .number(try number(bytes))
        default: throw refusal("a value cannot begin so")
        }
    }

    private mutating func literal(_ text: String, _ value: JSONValue, _ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
        for unit in text.utf8 {
            guard peek(bytes) == unit else { throw refusal("a value cannot be spelled so") }
            offset += 1
        }
        return value
    }

    private mutating func object(_ bytes: Span<UInt8>) throws(JSONError) -> JSONObject {
        try enter()
        var members: [(name: String, value: JSONValue)] = []
        var names: Set<[UInt8]> = []
        skipSpace(bytes)
        if peek(bytes) == UInt8(ascii: "}") {
            leave()
            return JSONObject()
        }
        members.reserveCapacity(Self.usualMemberCount)
        while true {
            skipSpace(bytes)
            guard peek(bytes) == UInt8(ascii: "\"") else { throw refusal("a member's name should be here") }
            let name = try string(bytes)
            guard isNew(name, among: members, &names) else { throw refusal("the member \(name.debugDescription) appears twice") }
            skipSpace(bytes)
            guard peek(bytes) == UInt8(ascii: ":") else { throw refusal("a colon should be here") }
            offset += 1
            members.append((name, try value(bytes)))
            skipSpace(bytes)
            switch peek(bytes) {
            case UInt8(ascii: ","): offset += 1
            case UInt8(ascii: "}"):
                leave()
                return JSONObject(members)
            default: throw refusal("a comma or } should be here")
            }
        }
    }

    /// Whether no member has this name. Compared by their bytes: String's equality would fold names that differ only in Unicode
    /// normalisation.
    ///
    /// - Parameter names: filled once there are so many that to look at each would cost the square of their number.
    private func isNew(
        _ name: String, among members: [(name: String, value: JSONValue)], _ names: inout Set<[UInt8]>
    ) -> Bool {
        guard members.count >= 16 else {
            for index in members.indices where members[index].name.hasSameBytes(as: name) { return false }
            return true
        }
        if names.isEmpty { for member in members { names.insert(Array(member.name.utf8)) } }
        return names.insert(Array(name.utf8)).inserted
    }

    private mutating func array(_ bytes: Span<UInt8>) throws(JSONError) -> [JSONValue] {
        try enter()
        var elements: [JSONValue] = []
        skipSpace(bytes)
        if peek(bytes) == UInt8(ascii: "]") {
            leave()
            return elements
        }
        while true {
            elements.append(try value(bytes))
            skipSpace(bytes)
            switch peek(bytes) {
            case UInt8(ascii: ","): offset += 1
            case UInt8(ascii: "]"):
                leave()
                return elements
            default: throw refusal("a comma or ] should be here")
            }
        }
    }

    /// Steps over the opening bracket.
    private mutating func enter() throws(JSONError) {
        guard depthLeft > 0 else { throw refusal("arrays and objects nest too deep") }
        depthLeft -= 1
        offset += 1
    }

    /// Steps over the closing bracket.
    private mutating func leave() {
        depthLeft += 1
        offset += 1
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(JSONError) -> JSONNumber {
        let start = offset
        if peek(bytes) == UInt8(ascii: "-") { offset += 1 }
        if peek(bytes) == UInt8(ascii: "0") { offset += 1 } else { try digits(bytes) }
        if peek(bytes) == UInt8(ascii: ".") {
            offset += 1
            try digits(bytes)
        }
        if let byte = peek(bytes), byte | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if let sign = peek(bytes), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { offset += 1 }
            try digits(bytes)
        }
        guard let text = text(bytes.extracting(start..<offset)) else { throw refusal("a number cannot be spelled so") }
        return JSONNumber(text: text)
    }

    private mutating func digits(_ bytes: Span<UInt8>) throws(JSONError) {
        let start = offset
        while let byte = peek(bytes), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { offset += 1 }
        guard offset > start else { throw refusal("a digit should be here") }
    }
}
