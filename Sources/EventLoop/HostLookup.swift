import Synchronization

/// Looks up where hosts are, without making the loop wait for a name server. One for each loop.
public final class HostLookup {
    /// How a name is looked up; it may block. ``SocketAddress/resolve(host:port:)`` but in tests.
    public typealias Resolver = @Sendable (_ host: String, _ port: Int) throws(ResolutionError) -> [SocketAddress]

    private static let pollMilliseconds: Int64 = 10
    /// How many names may wait for a name server.
    private static let maximumPending = 8

    private struct Place: Hashable {
        let host: String
        let port: Int
    }

    private let resolve: Resolver
    /// Those that a name server has not answered yet. There is never a second one of one place.
    private var pending: [Place: (answer: Answer, thread: SystemThread)] = [:]

    public init(by resolve: @escaping Resolver = SocketAddress.resolve) { self.resolve = resolve }

    /// Whether the answer comes without asking another machine.
    public static func isKnownHere(_ host: String) -> Bool { host == "localhost" || isAddress(host) }

    /// Whether it is no name at all, but an IP address.
    public static func isAddress(_ host: String) -> Bool {
        host.contains(":") || host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// All addresses of `host`, in the system's order of preference.
    ///
    /// - Parameter timeoutMilliseconds: how long to wait. A lookup that takes longer goes on, and the next call waits for it.
    public func addresses(
        of host: String, port: Int, on waiter: Waiter, timeoutMilliseconds: Int64, unless isOver: () -> Bool
    ) async throws(ResolutionError) -> [SocketAddress] {
        if Self.isKnownHere(host) { return try resolve(host, port) }
        let place = Place(host: host, port: port)
        let deadline = waiter.loop.nowMilliseconds + timeoutMilliseconds
        let lookup = if let known = pending[place] { known } else { try begin(place) }
        pending[place] = lookup
        while true {
            if let result = lookup.answer.result.withLock({ $0 }) {
                // Whoever of those that wait sees it first.
                if pending[place]?.answer === lookup.answer {
                    pending[place] = nil
                    lookup.thread.join()
                }
                return try result.get()
            }
            guard !isOver(), waiter.loop.nowMilliseconds < deadline else {
                throw ResolutionError(host: host, reason: "the lookup takes too long")
            }
            await waiter.sleep(milliseconds: Self.pollMilliseconds, unless: isOver)
        }
    }

    private func begin(_ place: Place) throws(ResolutionError) -> (answer: Answer, thread: SystemThread) {
        guard pending.count < Self.maximumPending else {
            throw ResolutionError(host: place.host, reason: "\(pending.count) lookups wait already")
        }
        let (answer, resolve) = (Answer(), resolve)
        do {
            let thread = try SystemThread(name: "host-lookup") {
                let result = Result { () throws(ResolutionError) in try resolve(place.host, place.port) }
                answer.result.withLock { $0 = result }
            }
            return (answer, thread)
        } catch {
            throw ResolutionError(host: place.host, reason: "\(error)")
        }
    }

    private final class Answer: Sendable {
        let result = Mutex<Result<[SocketAddress], ResolutionError>?>(nil)
    }
}
