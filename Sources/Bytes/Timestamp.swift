/// A moment as text, in UTC with milliseconds: `2024-11-19T12:00:00.000Z` (RFC 3339 §5.6).
public struct Timestamp: Sendable {
    /// The text, in ASCII.
    public private(set) var bytes: InlineArray<24, UInt8>

    /// - Parameter unixMilliseconds: from 1970 to the end of 9999; what lies outside is taken to the nearer end.
    public init(unixMilliseconds: Int64) {
        let moment = min(max(unixMilliseconds, 0), 253_402_300_799_999)
        let (day, millisecondOfDay) = moment.quotientAndRemainder(dividingBy: 86_400_000)
        let date = CivilDate(day: day)
        let time = Int(millisecondOfDay)
        bytes = InlineArray(repeating: UInt8(ascii: "Z"))
        put(date.year, digits: 4, before: UInt8(ascii: "-"), at: 0)
        put(date.month, digits: 2, before: UInt8(ascii: "-"), at: 5)
        put(date.dayOfMonth, digits: 2, before: UInt8(ascii: "T"), at: 8)
        put(time / 3_600_000, digits: 2, before: UInt8(ascii: ":"), at: 11)
        put(time / 60_000 % 60, digits: 2, before: UInt8(ascii: ":"), at: 14)
        put(time / 1000 % 60, digits: 2, before: UInt8(ascii: "."), at: 17)
        put(time % 1000, digits: 3, before: UInt8(ascii: "Z"), at: 20)
    }

    private mutating func put(_ number: Int, digits: Int, before mark: UInt8, at start: Int) {
        bytes[start + digits] = mark
        var rest = number
        for index in stride(from: start + digits - 1, through: start, by: -1) {
            bytes[index] = UInt8(ascii: "0") &+ UInt8(rest % 10)
            rest /= 10
        }
    }
}

extension ByteBuffer {
    public func append(_ timestamp: Timestamp) { append(timestamp.bytes.span) }
}
