import Bytes

/// The members of an object, in the order in which they were written. No name appears twice.
///
/// Held as text, with the places of the members in it: what is asked for is read then, since of most objects little is.
public struct JSONObject: Sendable, Equatable {
    /// Where a member stands in a text.
    struct Place {
        /// What stands between the quotes.
        let nameStart: UInt32
        let nameEnd: UInt32
        let nameHasEscapes: Bool
        let valueStart: UInt32

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Int { Int(valueStart) }
    }

    private let text: [UInt8]
    private let places: [Place]

    /// - Parameter places: of the members, in a text that ``JSONReader`` has read.
    init(text: [UInt8], places: [Place]) {
        self.text = text
        self.places = places
    }

    public init(_ members: [(name: String, value: JSONValue)] = []) {
        guard !members.isEmpty else {
            self.init(text: [], places: [])
            return
        }
        let buffer = ByteBuffer(capacity: 256)
        let places = members.map { member in
            let nameStart = buffer.count + 1
            buffer.append(jsonString: member.name)
            let nameEnd = buffer.count - 1
            let valueStart = buffer.count
            member.value.write(to: buffer)
            return Place(
                nameStart: UInt32(nameStart), nameEnd: UInt32(nameEnd),
                nameHasEscapes: buffer.bytes.extracting(nameStart..<nameEnd).firstIndex(of: UInt8(ascii: "\\")) != nil,
                valueStart: UInt32(valueStart))
        }
        self.init(text: buffer.bytes.array, places: places)
    }

    public var members: [(name: String, value: JSONValue)] { places.map { (name($0), JSONValue(at: $0.value, in: text)) } }

    /// The value of the member whose name has exactly these bytes: String's equality would take `\u212A` (the Kelvin sign)
    /// for `K`.
    public subscript(name: String) -> JSONValue? { self[name.utf8Span.span] }

    subscript(name: Span<UInt8>) -> JSONValue? {
        let bytes = text.span
        for index in places.indices {
            let place = places[index]
            let isNamed = place.nameHasEscapes ? Array(self.name(place).utf8).span.equals(name) : bytes.extracting(place.name).equals(name)
            if isNamed { return JSONValue(at: place.value, in: text) }
        }
        return nil
    }

    private func name(_ place: Place) -> String { JSONReader.text(place.name, in: text.span, hasEscapes: place.nameHasEscapes) }

    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.places.count == right.places.count && zip(left.members, right.members).allSatisfy { $0 == $1 }
    }
}

extension JSONValue {
    /// The value that begins at `start` in a text that ``JSONReader`` has read before, or that was written here.
    init(at start: Int, in text: [UInt8]) {
        var reader = JSONReader(offset: start)
        do throws(JSONError) {
            self = try reader.made(from: text)
        } catch {
            preconditionFailure("a text that was read before: \(error)")
        }
    }
}
