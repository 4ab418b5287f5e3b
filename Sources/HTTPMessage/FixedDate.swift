import Bytes

extension ByteBuffer {
    /// Appends a moment as `Date` has it, an IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    ///
    /// - Parameter unixSeconds: 0 at least.
    public func append(imfFixdate unixSeconds: Int64) {
        let date = CivilDate(day: unixSeconds / 86_400)
        append(Self.weekdays[Int(unixSeconds / 86_400 % 7)])
        append(", ")
        append(twoDigits: date.dayOfMonth)
        append(UInt8(ascii: " "))
        append(Self.months[date.month - 1])
        append(UInt8(ascii: " "))
        append(decimal: date.year)
        append(UInt8(ascii: " "))
        append(timeOfDay: unixSeconds)
        append(" GMT")
    }

    /// Appends a moment as logs in the common log format have it: `06/Nov/1994:08:49:37 +0000`.
    ///
    /// - Parameter unixSeconds: 0 at least.
    public func append(commonLogDate unixSeconds: Int64) {
        let date = CivilDate(day: unixSeconds / 86_400)
        append(twoDigits: date.dayOfMonth)
        append(UInt8(ascii: "/"))
        append(Self.months[date.month - 1])
        append(UInt8(ascii: "/"))
        append(decimal: date.year)
        append(UInt8(ascii: ":"))
        append(timeOfDay: unixSeconds)
        append(" +0000")
    }

    /// From that of 1970-01-01 on.
    private static let weekdays: [StaticString] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private func append(timeOfDay unixSeconds: Int64) {
        append(twoDigits: Int(unixSeconds / 3600 % 24))
        append(UInt8(ascii: ":"))
        append(twoDigits: Int(unixSeconds / 60 % 60))
        append(UInt8(ascii: ":"))
        append(twoDigits: Int(unixSeconds % 60))
    }

    private func append(twoDigits number: Int) {
        append(UInt8(ascii: "0") &+ UInt8(number / 10))
        append(UInt8(ascii: "0") &+ UInt8(number % 10))
    }
}
