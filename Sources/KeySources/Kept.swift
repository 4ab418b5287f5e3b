import JSONWebToken
import Logging
import Synchronization

/// Counts the new values of all sources of one keeper.
final class ChangeCounter: Sendable {
    private let changes = Atomic<Int>(0)
    var count: Int { changes.load(ordering: .acquiring) }
    func increment() { changes.add(1, ordering: .acquiringAndReleasing) }
}

/// The last good value of one source, and how the source does. The keeper's thread writes, any thread reads.
final class Kept<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var value: Value?
        /// Of the bytes that `value` was read from.
        var digest: SHA256Digest?
        var lastGoodMilliseconds: Int64?
        var failuresInARow = 0
        var looks = 0
        var failures = 0
        var schedule: RefreshSchedule
    }

    /// What it is, for the log: `keys of corporate`.
    private let title: String
    private let place: String
    private let read: @Sendable ([UInt8]) throws(UnusableKeySource) -> Value
    private let describe: @Sendable (Value) -> String
    private let changes: ChangeCounter
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - place: where it comes from, for the log.
    ///   - previous: whose last good value to begin with.
    ///   - changes: incremented with each new value.
    ///   - read: makes a value of what the source holds.
    ///   - describe: a value in the words of a log line.
    init(
        _ title: String, from place: String, schedule: RefreshSchedule, takingOver previous: Kept<Value>? = nil,
        changes: ChangeCounter, logger: Logger,
        read: @escaping @Sendable ([UInt8]) throws(UnusableKeySource) -> Value,
        describe: @escaping @Sendable (Value) -> String
    ) {
        self.title = title
        self.place = place
        self.changes = changes
        self.logger = logger
        self.read = read
        self.describe = describe
        var state = previous?.state.withLock { $0 } ?? State(schedule: schedule)
        state.schedule = schedule
        self.state = Mutex(state)
    }

    var value: Value? { state.withLock { $0.value } }
    var isLooking: Bool { state.withLock { $0.schedule.isLooking } }
    var dueAtMilliseconds: Int64? { state.withLock { $0.schedule.dueAtMilliseconds } }

    func wish(atMilliseconds now: Int64) -> Bool { state.withLock { $0.schedule.wish(atMilliseconds: now) } }

    func begin() {
        state.withLock { state in
            state.schedule.begin()
            state.looks += 1
        }
    }

    /// Ends a look.
    ///
    /// - Parameters:
    ///   - found: what it brought; nil where all is as the look before found it.
    ///   - pauseMilliseconds: how long until the next look, given how many have failed in a row.
    /// - Returns: why the source can't be used now; nil where it was found good, or as it was.
    @discardableResult
    func end(
        _ found: Result<[UInt8]?, UnusableKeySource>, atMilliseconds now: Int64, pauseMilliseconds: (_ failures: Int) -> Int64
    ) -> UnusableKeySource? {
        do throws(UnusableKeySource) {
            guard let bytes = try found.get() else {
                confirm(atMilliseconds: now, pauseMilliseconds)
                return nil
            }
            let digest = SHA256Digest(of: bytes.span)
            // Read outside the lock: workers look at the old value meanwhile.
            let value = state.withLock { $0.digest } == digest ? nil : try read(bytes)
            succeed(value, digest, atMilliseconds: now, pauseMilliseconds)
            return nil
        } catch {
            fail(error, atMilliseconds: now, pauseMilliseconds)
            return error
        }
    }

    private func confirm(atMilliseconds now: Int64, _ pauseMilliseconds: (Int) -> Int64) {
        state.withLock { state in
            // What was wrong and has not changed is still wrong.
            if state.failuresInARow == 0 { state.lastGoodMilliseconds = now }
            state.schedule.end(nextAtMilliseconds: now + pauseMilliseconds(state.failuresInARow))
        }
    }

    private func succeed(_ value: Value?, _ digest: SHA256Digest, atMilliseconds now: Int64, _ pauseMilliseconds: (Int) -> Int64) {
        let failures = state.withLock { state in
            let failures = state.failuresInARow
            state.failuresInARow = 0
            state.digest = digest
            state.lastGoodMilliseconds = now
            if let value {
                state.value = value
                // Under the lock: who finds that the look is over must find that it brought something.
                changes.increment()
            }
            state.schedule.end(nextAtMilliseconds: now + pauseMilliseconds(0))
            return failures
        }
        let back = failures > 0 ? ", back after \(failures) failed attempts" : ""
        if let value {
            logger.notice("\(title): \(describe(value)) from \(place)\(back)")
        } else if failures > 0 {
            logger.notice("\(title): unchanged from \(place)\(back)")
        }
    }

    private func fail(_ error: UnusableKeySource, atMilliseconds now: Int64, _ pauseMilliseconds: (Int) -> Int64) {
        let (isFirst, age) = state.withLock { state in
            state.failures += 1
            state.failuresInARow += 1
            state.schedule.end(nextAtMilliseconds: now + pauseMilliseconds(state.failuresInARow))
            return (state.failuresInARow == 1, state.lastGoodMilliseconds.map { now - $0 })
        }
        // One line for the whole of an outage.
        guard isFirst else { return }
        let consequence = age.map { "the last good ones stay, from \($0 / 1000) s ago" } ?? "there are none yet, and who needs them is refused"
        logger.warning("\(title) from \(place) can't be refreshed: \(error); \(consequence)")
    }

    func status(_ name: String, atMilliseconds now: Int64) -> SourceStatus {
        state.withLock { state in
            SourceStatus(
                name: name, isAvailable: state.value != nil, isFailing: state.failuresInARow > 0,
                ageSeconds: state.lastGoodMilliseconds.map { Double(now - $0) / 1000 }, fetches: state.looks, failures: state.failures)
        }
    }
}
