import ArgumentParser

/// A span of time as people write it: `30s`, `15m`, `1h`, `7d`, or with a minus, into the past.
struct Lifetime: ExpressibleByArgument, Equatable {
    let seconds: Int64

    /// Nil for anything else, and for more than a thousand years.
    init?(argument: String) {
        guard let unit = argument.last, let secondsPerUnit = Self.units[unit], let count = Int64(argument.dropLast()),
            argument.first != "+"
        else { return nil }
        let (seconds, isTooLong) = count.multipliedReportingOverflow(by: secondsPerUnit)
        guard !isTooLong, seconds.magnitude <= Self.longestSeconds else { return nil }
        self.seconds = seconds
    }

    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
    private static let longestSeconds: UInt64 = 1_000 * 365 * 86_400
}
