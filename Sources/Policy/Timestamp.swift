/// Appends a moment as ISO 8601 with milliseconds in UTC, as in `2024-11-19T12:00:00.000Z`.
///
/// - Parameter unixSeconds: from 1970 to the end of 9999; what lies outside is taken to the nearer end.
func appendTimestamp(unixSeconds: Int64, to text: inout [UInt8]) {
    let seconds = min(max(unixSeconds, 0), 253_402_300_799)
    let (days, secondOfDay) = seconds.quotientAndRemainder(dividingBy: 86_400)
    let date = civilDate(daysSince1970: days)
    append(date.year, digitCount: 4, to: &text)
    text.append(UInt8(ascii: "-"))
    append(date.month, digitCount: 2, to: &text)
    text.append(UInt8(ascii: "-"))
    append(date.day, digitCount: 2, to: &text)
    text.append(UInt8(ascii: "T"))
    append(secondOfDay / 3600, digitCount: 2, to: &text)
    text.append(UInt8(ascii: ":"))
    append(secondOfDay / 60 % 60, digitCount: 2, to: &text)
    text.append(UInt8(ascii: ":"))
    append(secondOfDay % 60, digitCount: 2, to: &text)
    text += ".000Z".utf8
}

/// The date in the Gregorian calendar.
///
/// Counted in eras of 400 years, which all have the same number of days, and in years that begin in March, so that the leap
/// day is a year's last.
private func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let days = daysSince1970 + 719_468   // since 1 March of the year 0
    let era = days / 146_097
    let dayOfEra = days % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthSinceMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthSinceMarch + 2) / 5 + 1
    let month = monthSinceMarch < 10 ? monthSinceMarch + 3 : monthSinceMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

private func append(_ number: Int64, digitCount: Int, to text: inout [UInt8]) {
    var divisor: Int64 = 1
    for _ in 1..<digitCount { divisor *= 10 }
    while divisor > 0 {
        text.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
        divisor /= 10
    }
}
