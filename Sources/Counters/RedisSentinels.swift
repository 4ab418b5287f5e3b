import EventLoop

/// The sentinels that watch over a master, as one store asks them.
final class RedisSentinels {
    private static let maximumSentinels = 64

    let master: String
    /// Who answered last comes first: one that is gone costs its time once.
    private(set) var places: [RedisAddress.Place]
    private let access: RedisAccess
    private let timeoutMilliseconds: Int64
    private let lookup: HostLookup

    init(
        _ places: [RedisAddress.Place], master: String, _ access: RedisAccess, _ timeoutMilliseconds: Int64,
        _ lookup: HostLookup
    ) {
        self.places = places
        self.master = master
        self.access = access
        self.timeoutMilliseconds = timeoutMilliseconds
        self.lookup = lookup
    }

    /// Asks one sentinel after the other where the master is, and gets to know those that it knows.
    func findMaster(on waiter: Waiter, unless isOver: () -> Bool) async throws(RedisFailure) -> RedisAddress.Place {
        var failures: [String] = []
        for place in places {
            do throws(RedisFailure) {
                let (found, others) = try await ask(place, waiter, isOver)
                note(place, others)
                return found
            } catch {
                failures.append("\(place): \(error)")
            }
            guard !isOver() else { break }
        }
        throw RedisFailure(description: "no sentinel knows the master \(master): \(failures.joined(separator: "; "))")
    }

    private func ask(
        _ place: RedisAddress.Place, _ waiter: Waiter, _ isOver: () -> Bool
    ) async throws(RedisFailure) -> (master: RedisAddress.Place, others: [RedisAddress.Place]) {
        let dialogue = try await RedisDialogue.open(
            place, access, lookup, timeoutMilliseconds: timeoutMilliseconds, on: waiter, unless: isOver)
        defer { dialogue.close() }
        let replies = try await dialogue.ask(
            [["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], ["SENTINEL", "SENTINELS", master]], unless: isOver)
        if case .error(let text) = replies[0] { throw RedisFailure(description: text) }
        let parts = replies[0].elements
        guard parts.count == 2, let host = parts[0].string, let port = parts[1].number, (1...65535).contains(port) else {
            throw RedisFailure(description: "it doesn't know it")
        }
        return (.tcp(host: host, port: Int(port)), replies[1].elements.compactMap(Self.sentinel))
    }

    /// Out of a list of names and values.
    private static func sentinel(_ value: RedisValue) -> RedisAddress.Place? {
        let words = value.elements
        func word(_ name: String) -> RedisValue? {
            words.indices.first { $0 % 2 == 0 && words[$0].string == name }.flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        }
        guard let host = word("ip")?.string, let port = word("port")?.number, (1...65535).contains(port) else { return nil }
        return .tcp(host: host, port: Int(port))
    }

    private func note(_ first: RedisAddress.Place, _ others: [RedisAddress.Place]) {
        places.removeAll { $0 == first }
        places.insert(first, at: 0)
        for other in others where places.count < Self.maximumSentinels && !places.contains(other) { places.append(other) }
    }
}
