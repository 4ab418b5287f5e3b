/// Which endpoints are left out for a while, since requests failed there one after the other. A value; time is an argument.
struct Ejection {
    private struct Record {
        var failures = 0
        /// How often in a row it has been ejected.
        var ejections = 0
        var durationMilliseconds: Int64 = 0
        var until = Int64.min
    }

    private let rules: EjectionRules
    private var records: [Record]

    init(_ rules: EjectionRules, endpointCount: Int) {
        self.rules = rules
        records = Array(repeating: Record(), count: endpointCount)
    }

    /// Notes a request that failed there.
    ///
    /// - Returns: until when the endpoint is ejected, where it is that from now on.
    mutating func failed(_ index: Int, now: Int64) -> Int64? {
        // What was on its way when it was ejected says nothing new.
        guard records[index].until <= now else { return nil }
        records[index].failures += 1
        let ejectedCount = records.count { $0.until > now }
        guard records[index].failures >= rules.consecutiveFailures, (ejectedCount + 1) * 100 <= rules.maximumPercent * records.count
        else { return nil }
        return eject(index, now)
    }

    mutating func succeeded(_ index: Int) { records[index].failures = 0 }

    /// Twice as long as the last time, unless it has been well for as long as it was out.
    private mutating func eject(_ index: Int, _ now: Int64) -> Int64 {
        var record = records[index]
        let wasWell = record.ejections > 0 && now - record.until > record.durationMilliseconds
        record.durationMilliseconds = record.ejections == 0 || wasWell
            ? rules.firstMilliseconds : min(record.durationMilliseconds * 2, rules.maximumMilliseconds)
        record.ejections = wasWell ? 1 : record.ejections + 1
        record.failures = 0
        record.until = now + record.durationMilliseconds
        records[index] = record
        return record.until
    }
}

/// When an endpoint is ejected, and for how long.
public struct EjectionRules: Sendable, Equatable {
    /// In a row: no connection, one that breaks off, an answer that is malformed or late.
    public var consecutiveFailures: Int
    /// Whether an answer of 500 to 599 is a failure too.
    public var countsServerErrors = false
    /// The first time, and twice as long each time after it…
    public var firstMilliseconds: Int64 = 10_000
    /// …but never longer.
    public var maximumMilliseconds: Int64 = 300_000
    /// No more of the endpoints are ejected at once.
    public var maximumPercent = 50

    public init(consecutiveFailures: Int) { self.consecutiveFailures = consecutiveFailures }
}
