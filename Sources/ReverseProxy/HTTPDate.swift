import Bytes
import EventLoop

/// The time as texts; the one for `Date` is made once a second and worker.
final class HTTPDate {
    private let loop: EventLoop
    private var second: Int64 = -1
    private let imfFixdate = ByteBuffer(capacity: 32)

    init(loop: EventLoop) { self.loop = loop }

    /// Appends the present moment as an IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    func append(to buffer: ByteBuffer) {
        let now = loop.nowUnixMilliseconds / 1000
        if now != second {
            second = now
            imfFixdate.clear()
            Self.append(imfFixdate: now, to: imfFixdate)
        }
        let text = imfFixdate
        buffer.append(text.bytes)
    }

    /// Appends `unixMilliseconds` as `2024-11-19T12:00:00.000Z` (RFC 3339).
    static func append(iso8601 unixMilliseconds: Int64, to buffer: ByteBuffer) {
        let seconds = unixMilliseconds / 1000
        let date = CivilDate(day: seconds / 86_400)
        buffer.append(decimal: date.year)
        buffer.append(UInt8(ascii: "-"))
        append(date.month, digits: 2, to: buffer)
        buffer.append(UInt8(ascii: "-"))
        append(date.dayOfMonth, digits: 2, to: buffer)
        buffer.append(UInt8(ascii: "T"))
        append(timeOfDay: seconds, to: buffer)
        buffer.append(UInt8(ascii: "."))
        append(Int(unixMilliseconds % 1000), digits: 3, to: buffer)
        buffer.append(UInt8(ascii: "Z"))
    }

    private static func append(imfFixdate seconds: Int64, to buffer: ByteBuffer) {
        let date = CivilDate(day: seconds / 86_400)
        buffer.append(utf8: ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(seconds / 86_400 % 7)])
        buffer.append(", ")
        append(date.dayOfMonth, digits: 2, to: buffer)
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        buffer.append(utf8: " \(months[date.month - 1]) ")
        buffer.append(decimal: date.year)
        buffer.append(UInt8(ascii: " "))
        append(timeOfDay: seconds, to: buffer)
        buffer.append(" GMT")
    }

    private static func append(timeOfDay seconds: Int64, to buffer: ByteBuffer) {
        append(Int(seconds / 3600 % 24), digits: 2, to: buffer)
        buffer.append(UInt8(ascii: ":"))
        append(Int(seconds / 60 % 60), digits: 2, to: buffer)
        buffer.append(UInt8(ascii: ":"))
        append(Int(seconds % 60), digits: 2, to: buffer)
    }

    private static func append(_ number: Int, digits: Int, to buffer: ByteBuffer) {
        var unit = 1
        for _ in 1..<digits { unit *= 10 }
        while unit > 0 {
            buffer.append(UInt8(ascii: "0") &+ UInt8(number / unit % 10))
            unit /= 10
        }
    }
}

/// A day of the Gregorian calendar.
private struct CivilDate {
    let year: Int
    let month: Int
    let dayOfMonth: Int

    /// - Parameter day: days since 1970-01-01. Counted in years that begin in March, so that the leap day is the last one.
    init(day: Int64) {
        let shifted = Int(day) + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        dayOfMonth = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}
