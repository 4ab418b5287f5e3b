/// A day of the Gregorian calendar.
public struct CivilDate: Sendable, Equatable {
    public let year: Int
    /// 1 to 12.
    public let month: Int
    /// 1 to 31.
    public let dayOfMonth: Int

    /// - Parameter day: days since 1970-01-01; 0 at least.
    ///
    /// Counted in eras of 400 years, which all have the same number of days, and in years that begin in March, so that the leap
    /// day is a year's last.
    public init(day: Int64) {
        let shifted = Int(day) + 719_468   // since 1 March of the year 0
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
