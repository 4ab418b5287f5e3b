import EventLoop
import TLS

/// Sends single commands to wherever their key is: the master that sentinels name, or the right node of a cluster.
///
/// An actor on the loop: between a look at a socket and the parking of who waits for it nothing else may run.
public actor RedisCommander {
    /// How often a cluster may send a command on.
    private static let maximumRedirects = 4

    private nonisolated let loop: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let access: (servers: RedisAccess, sentinels: RedisAccess)
    private let timeoutMilliseconds: Int64
    private let waiter: Waiter
    private let lookup = HostLookup()

    private init(_ address: RedisAddress, _ timeoutMilliseconds: Int64, on loop: EventLoop) throws(RedisFailure) {
        do throws(TLSFailure) {
            access = try address.access()
        } catch {
            throw RedisFailure(description: error.description)
        }
        self.loop = loop
        self.timeoutMilliseconds = timeoutMilliseconds
        waiter = Waiter(loop: loop)
    }

    /// Sends one command, and returns its reply; a refusal is a reply too.
    ///
    /// - Parameters:
    ///   - command: its name, then the key, then what else it takes.
    ///   - loop: one that runs; the calling task prefers it as its executor.
    ///   - timeoutMilliseconds: for each step: finding a host, connecting, each reply.
    /// - Throws: a ``RedisFailure`` where nobody could be asked. The command may have been carried out nevertheless.
    public static func run(
        _ command: [[UInt8]], at address: RedisAddress, on loop: EventLoop, timeoutMilliseconds: Int64 = 5000
    ) async throws(RedisFailure) -> RedisValue {
        precondition(command.count >= 2, "a command has a name and a key")
        return try await RedisCommander(address, timeoutMilliseconds, on: loop).send(command, to: address.topology)
    }

    private func send(_ command: [[UInt8]], to topology: RedisAddress.Topology) async throws(RedisFailure) -> RedisValue {
        switch topology {
        case .single(let place): return try await ask(place, [command])[0]
        case .sentinel(let places, let master):
            let sentinels = RedisSentinels(places, master: master, access.sentinels, timeoutMilliseconds, lookup)
            return try await ask(sentinels.findMaster(on: waiter, unless: { false }), [command])[0]
        case .cluster(let seeds): return try await askCluster(seeds, command)
        }
    }

    private func ask(_ place: RedisAddress.Place, _ commands: [[[UInt8]]]) async throws(RedisFailure) -> [RedisValue] {
        do throws(RedisFailure) {
            let dialogue = try await RedisDialogue.open(
                place, access.servers, lookup, timeoutMilliseconds: timeoutMilliseconds, on: waiter, unless: { false })
            defer { dialogue.close() }
            return try await dialogue.ask(bytes: commands, unless: { false })
        } catch {
            throw RedisFailure(description: "Redis at \(place): \(error)")
        }
    }

    private func askCluster(_ seeds: [RedisAddress.Place], _ command: [[UInt8]]) async throws(RedisFailure) -> RedisValue {
        let map = try await map(seeds)
        let owner = Int(map.owners[RedisSlot.of(command[1])])
        var place = owner < map.masters.count ? map.masters[owner] : map.masters[0]
        var isAsking = false
        for _ in 0..<Self.maximumRedirects {
            let asking = isAsking ? [[Array("ASKING".utf8)]] : []
            guard let reply = try await ask(place, asking + [command]).last else { break }
            guard case .error(let text) = reply, let redirect = RedisRedirect(text) else { return reply }
            place = redirect.target(from: place)
            isAsking = redirect.isAsk
        }
        throw RedisFailure(description: "the cluster sends the command from node to node")
    }

    private func map(_ seeds: [RedisAddress.Place]) async throws(RedisFailure) -> RedisClusterMap {
        var failures: [String] = []
        for seed in seeds {
            do throws(RedisFailure) {
                let commands = RedisClusterMap.commands.map { $0.map { Array($0.utf8) } }
                return try RedisClusterMap(try await ask(seed, commands), from: seed)
            } catch {
                failures.append(error.description)
            }
        }
        throw RedisFailure(description: failures.joined(separator: "; "))
    }
}
