import EventLoop
import JSONWebToken
import Logging
import Synchronization

/// Keeps all keys fresh, on one thread of its own. Workers take snapshots and wait for nothing.
///
/// A worker remembers ``version``, compares it on each request (one load), and takes the snapshots anew when it has grown.
/// What was once good stays until something good replaces it, however long its source is out.
public final class KeyKeeper: Sendable {
    private enum Upkeep: Sendable {
        case fixed(KeySet)
        case file(KeptFile<KeySet>)
        case remote(RemoteKeys, RefreshRules, Kept<KeySet>)

        var kept: Kept<KeySet>? {
            switch self {
            case .fixed: nil
            case .file(let file): file.kept
            case .remote(_, _, let kept): kept
            }
        }
    }

    /// How long a file with keys may be.
    private static let maximumFileBytes = KeySet.maximumBytes

    private let names: [String]
    private let upkeeps: [Upkeep]
    private let apiKeyFile: KeptFile<APIKeys>?
    private let changes = ChangeCounter()
    private let isStopping = Atomic<Bool>(false)
    private let thread = Mutex<SystemThread?>(nil)
    private let transfers = CurlTransfers()
    private let clock: @Sendable () -> Int64

    /// Reads the files; fetches nothing before ``start()``.
    ///
    /// - Parameters:
    ///   - previous: the keeper before this one. What it has fetched from the same addresses is there from the start, so
    ///     that a reload during an outage loses nothing.
    ///   - clock: milliseconds of a clock that never goes back.
    /// - Throws: ``UnusableKeySource`` for a file that can't be used.
    public init(
        _ sources: [KeySource], apiKeys: APIKeySource? = nil, takingOver previous: KeyKeeper? = nil, logger: Logger,
        clock: @escaping @Sendable () -> Int64 = { Clock.monotonicNanoseconds() / 1_000_000 }
    ) throws(UnusableKeySource) {
        self.clock = clock
        let now = clock()
        names = sources.map(\.name)
        var upkeeps: [Upkeep] = []
        for source in sources { upkeeps.append(try Self.upkeep(of: source, takingOver: previous, now, changes, logger)) }
        self.upkeeps = upkeeps
        apiKeyFile = apiKeys.map { [changes] in Self.keptFile(of: $0, now, changes, logger) }
        if let failure = apiKeyFile?.look(atMilliseconds: now) {
            throw UnusableKeySource("the API keys: \(failure)")
        }
    }

    private static func upkeep(
        of source: KeySource, takingOver previous: KeyKeeper?, _ now: Int64, _ changes: ChangeCounter, _ logger: Logger
    ) throws(UnusableKeySource) -> Upkeep {
        let title = "keys of \(source.name)"
        let schedule = RefreshSchedule(firstAt: now, unknownKeyIntervalSeconds: source.rules.unknownKeyIntervalSeconds)
        switch source.origin {
        case .fixed(let keys): return .fixed(keys)
        case .file(let path):
            let kept = Kept(
                title, from: path, schedule: schedule, changes: changes, logger: logger, read: KeySource.parse, describe: describe)
            let file = KeptFile(kept, path: path, maximumBytes: maximumFileBytes)
            if let failure = file.look(atMilliseconds: now) {
                throw UnusableKeySource("the keys of \(source.name): \(failure)")
            }
            return .file(file)
        case .remote(let remote):
            if let caFile = remote.caFile {
                var file = WatchedFile(path: caFile, maximumBytes: maximumFileBytes)
                _ = try file.look(nowUnixMilliseconds: Clock.unixMilliseconds())
            }
            let kept = Kept(
                title, from: remote.address.description, schedule: schedule, takingOver: previous?.kept(from: remote),
                changes: changes, logger: logger, read: RemoteKeys.parse, describe: describe)
            return .remote(remote, source.rules, kept)
        }
    }

    private static func keptFile(
        of source: APIKeySource, _ now: Int64, _ changes: ChangeCounter, _ logger: Logger
    ) -> KeptFile<APIKeys> {
        let schedule = RefreshSchedule(firstAt: now, unknownKeyIntervalSeconds: 0)
        let kept = Kept(
            "API keys", from: source.path, schedule: schedule, changes: changes, logger: logger, read: source.parse,
            describe: { "\($0.count) loaded" })
        return KeptFile(kept, path: source.path, maximumBytes: APIKeySource.maximumBytes)
    }

    private func kept(from remote: RemoteKeys) -> Kept<KeySet>? {
        for case .remote(remote, _, let kept) in upkeeps { return kept }
        return nil
    }

    /// A set may have any number of keys, and anybody's texts for names.
    @Sendable private static func describe(_ keys: KeySet) -> String {
        let shown = 8
        let usable = keys.keys.filter { !$0.algorithms.isEmpty }
        let names = usable.prefix(shown).map { $0.id.map { String($0.prefix(64)).debugDescription } ?? "without kid" }
        return "\(usable.count) loaded (\(names.joined(separator: ", "))\(usable.count > shown ? ", …" : ""))"
    }

    // MARK: What workers ask

    /// Grows whenever a snapshot has changed.
    public var version: Int { changes.count }

    /// The keys of the `index`th source; nil where none were ever there.
    public func keys(_ index: Int) -> KeySet? {
        if case .fixed(let keys) = upkeeps[index] { keys } else { upkeeps[index].kept?.value }
    }

    public var apiKeys: APIKeys? { apiKeyFile?.kept.value }

    /// A token named a key that the `index`th source doesn't have: have it looked at now, if the last time for such a reason
    /// is long enough ago. ``isFetching(_:)`` tells whether waiting for it makes sense.
    public func requestRefresh(of index: Int) {
        if upkeeps[index].kept?.wish(atMilliseconds: clock()) == true { transfers.wake() }
    }

    /// Whether the `index`th source is being looked at: a key that is not there now may be in a moment. Where it is not,
    /// ``version`` has already grown by what the last look brought: compare it once more before a token is refused.
    public func isFetching(_ index: Int) -> Bool { upkeeps[index].kept?.isLooking ?? false }

    /// How the `index`th source does.
    public func status(_ index: Int) -> SourceStatus {
        upkeeps[index].kept?.status(names[index], atMilliseconds: clock())
            ?? SourceStatus(name: names[index], isAvailable: true, isFailing: false, ageSeconds: nil, fetches: 0, failures: 0)
    }

    /// How the file with the API keys does; nil where there is none.
    public var apiKeyStatus: SourceStatus? { apiKeyFile?.kept.status("API keys", atMilliseconds: clock()) }

    // MARK: The thread

    /// Starts the thread. Once.
    public func start() throws(SystemError) {
        let started = try SystemThread(name: "keys") { self.run() }
        thread.withLock { $0 = started }
    }

    /// Ends the thread and whatever it fetches, and waits for its end. The snapshots stay as they are.
    public func stop() {
        isStopping.store(true, ordering: .releasing)
        transfers.wake()
        thread.withLock { thread in
            let started = thread
            thread = nil
            return started
        }?.join()
    }

    /// Waits until there are keys from every source. Blocks; for a daemon that takes the place of one that has them.
    ///
    /// - Throws: where a source has none to give.
    public func awaitKeys() throws(UnusableKeySource) {
        for index in upkeeps.indices {
            while keys(index) == nil {
                guard !status(index).isFailing else {
                    throw UnusableKeySource("there are no keys of \(names[index]) to be had now, and the daemon before may have them")
                }
                SystemThread.pause(milliseconds: 5)
            }
        }
    }

    /// Makes the thread look at the clock now.
    func wake() { transfers.wake() }

    private func run() {
        while !isStopping.load(ordering: .acquiring) {
            for finished in transfers.takeFinished() { take(finished) }
            beginWhatIsDue()
            transfers.wait(milliseconds: millisecondsToNext())
        }
        transfers.cancelAll()
    }

    private func beginWhatIsDue() {
        let now = clock()
        for (index, upkeep) in upkeeps.enumerated() where upkeep.kept?.dueAtMilliseconds ?? .max <= now {
            switch upkeep {
            case .fixed: continue
            case .file(let file): file.look(atMilliseconds: now)
            case .remote(let remote, _, let kept):
                kept.begin()
                transfers.start(index, remote.address, caFile: remote.caFile)
            }
        }
        if let apiKeyFile, apiKeyFile.kept.dueAtMilliseconds ?? .max <= now { apiKeyFile.look(atMilliseconds: now) }
    }

    private func millisecondsToNext() -> Int32 {
        var next = apiKeyFile?.kept.dueAtMilliseconds ?? .max
        for upkeep in upkeeps { next = min(next, upkeep.kept?.dueAtMilliseconds ?? .max) }
        return Int32(clamping: max(0, next - clock()))
    }

    private func take(_ finished: CurlTransfers.Finished) {
        guard case .remote(let remote, let rules, let kept) = upkeeps[finished.tag] else { return }
        var freshness = Freshness.unstated
        let found = Result { () throws(UnusableKeySource) in
            try remote.read(try finished.result.get(), from: finished.address)
        }
        let bytes: Result<[UInt8]?, UnusableKeySource>
        switch found {
        case .success(.fetch(let address)): return transfers.start(finished.tag, address, caFile: remote.caFile)
        case .success(.keys(let body, let stated)):
            freshness = stated
            bytes = .success(body)
        case .failure(let error): bytes = .failure(error)
        }
        let jitter = Double.random(in: 0..<1)
        kept.end(bytes, atMilliseconds: clock()) { failures in
            failures == 0
                ? rules.pauseMilliseconds(after: freshness, jitter: jitter)
                : RefreshRules.retryPauseMilliseconds(failures: failures, jitter: jitter)
        }
    }
}
