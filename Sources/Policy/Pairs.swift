import Bytes

/// The `name=value` pairs of a text with one separator, one after the other.
struct Pairs: Sequence, IteratorProtocol {
    struct Pair {
        let whole: Range<Int>
        let name: Range<Int>
        /// Nil where there is no equals sign.
        let value: Range<Int>?
    }

    private var ends: [(end: Int, equals: Int?)] = []
    private var start: Int
    private var index = 0

    init(_ range: Range<Int>, separator: UInt8, in bytes: Span<UInt8>) {
        start = range.lowerBound
        var equals: Int?
        for index in range {
            if bytes[index] == separator {
                ends.append((index, equals))
                equals = nil
            } else if equals == nil, bytes[index] == UInt8(ascii: "=") {
                equals = index
            }
        }
        ends.append((range.upperBound, equals))
    }

    mutating func next() -> Pair? {
        guard index < ends.count else { return nil }
        let (end, equals) = ends[index]
        defer {
            index += 1
            start = end + 1
        }
        guard let equals else { return Pair(whole: start..<end, name: start..<end, value: nil) }
        return Pair(whole: start..<end, name: start..<equals, value: equals + 1..<end)
    }
}

extension Span where Element == UInt8 {
    /// - Parameter other: letters, digits and hyphens. 0x20 is the bit between the cases of a letter.
    func isEqualIgnoringCase(to other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in indices where self[index] != other[index] {
            let letter = self[index] | 0x20
            guard letter == other[index] | 0x20, letter >= UInt8(ascii: "a"), letter <= UInt8(ascii: "z") else { return false }
        }
        return true
    }

    /// Whether these bytes, as a parameter's name in a query, stand for `plain`: escapes count as what they stand for.
    func isForm(of plain: Span<UInt8>) -> Bool {
        var (index, place) = (0, 0)
        while index < count {
            guard place < plain.count else { return false }
            var byte = self[index]
            index += 1
            if byte == UInt8(ascii: "+") {
                byte = UInt8(ascii: " ")
            } else if byte == UInt8(ascii: "%"), index + 1 < count, let high = self[index].hexadecimalValue, let low = self[index + 1].hexadecimalValue {
                byte = high << 4 | low
                index += 2
            }
            guard byte == plain[place] else { return false }
            place += 1
        }
        return place == plain.count
    }

    /// A cookie's value may stand in quotes, which are no part of it.
    func withoutQuotes(_ range: Range<Int>) -> Range<Int> {
        guard range.count >= 2, self[range.lowerBound] == UInt8(ascii: "\""), self[range.upperBound - 1] == UInt8(ascii: "\"") else { return range }
        return range.lowerBound + 1..<range.upperBound - 1
    }
}
