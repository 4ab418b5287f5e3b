import Bytes

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
        try parse(bytes.array, maximumDepth: maximumDepth, maximumBytes: maximumBytes)
    }

    /// Reads exactly one JSON text as ``parse(_:maximumDepth:maximumBytes:)-(Span<UInt8>,_,_)`` does, and keeps it.
    public static func parse(
        _ text: [UInt8], maximumDepth: Int = 32, maximumBytes: Int = 65_536
    ) throws(JSONError) -> JSONValue {
        // The places of members have 32 bits.
        let maximumBytes = min(maximumBytes, Int(UInt32.max))
        guard text.count <= maximumBytes else {
            throw JSONError(message: "the text has \(text.count) bytes, more than \(maximumBytes)", offset: maximumBytes)
        }
        let bytes = text.span
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes)
        } catch {
            throw JSONError(message: "the text is not UTF-8", offset: error.byteOffsets.lowerBound)
        }
        var reader = JSONReader(depthLeft: maximumDepth)
        reader.skipSpace(bytes)
        let value = try reader.made(from: text)
        reader.skipSpace(bytes)
        guard reader.offset == bytes.count else { throw reader.refusal("something stands behind the value") }
        return value
    }
}

/// The position in a text being read, which is UTF-8. Each method takes the bytes anew, since a struct cannot hold a span of them.
///
/// What is read is checked and passed over; nothing is made of it but of the outermost value.
struct JSONReader {
    /// Most objects have no more members, so that their list is made in one go.
    private static let usualMemberCount = 8

    var offset = 0
    var depthLeft = Int.max
    /// Those of the objects that are being read, of the innermost last.
    private var members: [JSONObject.Place] = []

    init(offset: Int = 0, depthLeft: Int = .max) {
        self.offset = offset
        self.depthLeft = depthLeft
    }

    func refusal(_ message: String) -> JSONError { JSONError(message: message, offset: offset) }

    func peek(_ bytes: Span<UInt8>) -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipSpace(_ bytes: Span<UInt8>) {
        while let byte = peek(bytes), byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { offset &+= 1 }
    }

    /// Reads the value that begins here, and makes it.
    mutating func made(from text: [UInt8]) throws(JSONError) -> JSONValue {
        let bytes = text.span
        let start = offset
        switch peek(bytes) {
        case UInt8(ascii: "{"):
            try object(bytes)
            defer { members = [] }
            return .object(JSONObject(text: text, places: members))
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try array(bytes) { reader throws(JSONError) in elements.append(try reader.made(from: text)) }
            return .array(elements)
        case UInt8(ascii: "\""):
            let string = try string(bytes)
            return .string(Self.text(string.range, in: bytes, hasEscapes: string.hasEscapes))
        case let first:
            try value(bytes)
            switch first {
            case UInt8(ascii: "t"): return .bool(true)
            case UInt8(ascii: "f"): return .bool(false)
            case UInt8(ascii: "n"): return .null
            default: return .number(JSONNumber(text: Self.text(start..<offset, in: bytes, hasEscapes: false)))
            }
        }
    }

    private mutating func value(_ bytes: Span<UInt8>) throws(JSONError) {
        switch peek(bytes) {
        case UInt8(ascii: "{"):
            let outer = members.count
            try object(bytes)
            members.removeLast(members.count - outer)
        case UInt8(ascii: "["): try array(bytes) { reader throws(JSONError) in try reader.value(bytes) }
        case UInt8(ascii: "\""): _ = try string(bytes)
        case UInt8(ascii: "t"): try literal("true", bytes)
        case UInt8(ascii: "f"): try literal("false", bytes)
        case UInt8(ascii: "n"): try literal("null", bytes)
        case nil: throw refusal("the text ends where a value should be")
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): try number(bytes)
        default: throw refusal("a value cannot begin so")
        }
    }

    private mutating func literal(_ text: StaticString, _ bytes: Span<UInt8>) throws(JSONError) {
        for index in 0..<text.utf8CodeUnitCount {
            guard unsafe peek(bytes) == text.utf8Start[index] else { throw refusal("a value cannot be spelled so") }
            offset &+= 1
        }
    }

    /// Leaves the places of its members behind those that were there.
    private mutating func object(_ bytes: Span<UInt8>) throws(JSONError) {
        try enter()
        let first = members.count
        var names: Set<[UInt8]> = []
        skipSpace(bytes)
        guard peek(bytes) != UInt8(ascii: "}") else { return leave() }
        if members.isEmpty { members.reserveCapacity(Self.usualMemberCount) }
        while true {
            skipSpace(bytes)
            guard peek(bytes) == UInt8(ascii: "\"") else { throw refusal("a member's name should be here") }
            let name = try string(bytes)
            try checkIsNew(name.range, hasEscapes: name.hasEscapes, from: first, &names, bytes)
            skipSpace(bytes)
            guard peek(bytes) == UInt8(ascii: ":") else { throw refusal("a colon should be here") }
            offset &+= 1
            skipSpace(bytes)
            members.append(
                JSONObject.Place(
                    nameStart: UInt32(truncatingIfNeeded: name.range.lowerBound), nameEnd: UInt32(truncatingIfNeeded: name.range.upperBound),
                    nameHasEscapes: name.hasEscapes, valueStart: UInt32(truncatingIfNeeded: offset)))
            try value(bytes)
            skipSpace(bytes)
            switch peek(bytes) {
            case UInt8(ascii: ","): offset &+= 1
            case UInt8(ascii: "}"): return leave()
            default: throw refusal("a comma or } should be here")
            }
        }
    }

    /// Refuses a name that a member of the object has whose members begin at `first`. Compared by their bytes: String's equality
    /// would fold names that differ only in Unicode normalisation.
    ///
    /// - Parameter names: filled once there are so many that to look at each would cost the square of their number.
    private func checkIsNew(
        _ name: Range<Int>, hasEscapes: Bool, from first: Int, _ names: inout Set<[UInt8]>, _ bytes: Span<UInt8>
    ) throws(JSONError) {
        var isNew = true
        if members.count &- first >= 16 {
            if names.isEmpty { for index in first..<members.count { names.insert(plainName(members[index], bytes)) } }
            isNew = names.insert(hasEscapes ? Array(Self.text(name, in: bytes, hasEscapes: true).utf8) : bytes.extracting(name).array).inserted
        } else {
            for index in first..<members.count {
                let member = members[index]
                if member.nameHasEscapes || hasEscapes {
                    isNew = isNew && plainName(member, bytes) != Array(Self.text(name, in: bytes, hasEscapes: hasEscapes).utf8)
                } else {
                    isNew = isNew && !bytes.extracting(member.name).equals(bytes.extracting(name))
                }
            }
        }
        guard isNew else {
            throw refusal("the member \(Self.text(name, in: bytes, hasEscapes: hasEscapes).debugDescription) appears twice")
        }
    }

    private func plainName(_ member: JSONObject.Place, _ bytes: Span<UInt8>) -> [UInt8] {
        Array(Self.text(member.name, in: bytes, hasEscapes: member.nameHasEscapes).utf8)
    }

    private mutating func array(
        _ bytes: Span<UInt8>, _ element: (inout JSONReader) throws(JSONError) -> Void
    ) throws(JSONError) {
        try enter()
        skipSpace(bytes)
        guard peek(bytes) != UInt8(ascii: "]") else { return leave() }
        while true {
            skipSpace(bytes)
            try element(&self)
            skipSpace(bytes)
            switch peek(bytes) {
            case UInt8(ascii: ","): offset &+= 1
            case UInt8(ascii: "]"): return leave()
            default: throw refusal("a comma or ] should be here")
            }
        }
    }

    /// Steps over the opening bracket.
    private mutating func enter() throws(JSONError) {
        guard depthLeft > 0 else { throw refusal("arrays and objects nest too deep") }
        depthLeft -= 1
        offset &+= 1
    }

    /// Steps over the closing bracket.
    private mutating func leave() {
        depthLeft += 1
        offset &+= 1
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(JSONError) {
        if peek(bytes) == UInt8(ascii: "-") { offset &+= 1 }
        if peek(bytes) == UInt8(ascii: "0") { offset &+= 1 } else { try digits(bytes) }
        if peek(bytes) == UInt8(ascii: ".") {
            offset &+= 1
            try digits(bytes)
        }
        if let byte = peek(bytes), byte | 0x20 == UInt8(ascii: "e") {
            offset &+= 1
            if let sign = peek(bytes), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { offset &+= 1 }
            try digits(bytes)
        }
    }

    private mutating func digits(_ bytes: Span<UInt8>) throws(JSONError) {
        let start = offset
        while let byte = peek(bytes), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { offset &+= 1 }
        guard offset > start else { throw refusal("a digit should be here") }
    }
}
