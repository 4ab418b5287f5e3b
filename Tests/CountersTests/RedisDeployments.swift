import Foundation
import TestSupport

@testable import Counters

extension RedisServer {
    var place: RedisAddress.Place { .tcp(host: "127.0.0.1", port: port) }

    /// Asks until the answer is as wanted.
    func wait(_ words: [String], until isWanted: (String) -> Bool) throws {
        while try !isWanted(ask(words)) {}
    }

    /// A value out of INFO, CLUSTER INFO and the like.
    static func value(_ name: String, in info: String) -> String? {
        info.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
    }
}

/// A master, its replica, and three sentinels that watch over them.
final class WatchedRedis {
    let master: RedisServer
    let replica: RedisServer
    private let sentinels: [RedisServer]
    var address: RedisAddress { RedisAddress(.sentinel(sentinels.map(\.place), master: "counters")) }

    init() throws {
        master = try RedisServer(port: freePort())
        replica = try RedisServer(port: freePort(), ["--replicaof", "127.0.0.1", "\(master.port)", "--repl-diskless-sync-delay", "0"])
        let watched = master.port
        sentinels = try (0..<3).map { _ in
            try RedisServer(
                port: freePort(), watching: "counters", at: watched,
                ["down-after-milliseconds counters 500", "failover-timeout counters 3000"])
        }
        try replica.wait(["INFO", "replication"]) { RedisServer.value("master_link_status", in: $0) == "up" }
        for sentinel in sentinels {
            try sentinel.wait(["SENTINEL", "MASTER", "counters"]) { answer in
                let words = answer.split(separator: "\n")
                func number(_ name: String) -> String? { words.firstIndex(of: name[...]).map { String(words[$0 + 1]) } }
                return number("num-slaves") == "1" && number("num-other-sentinels") == "2"
            }
        }
    }
}

/// Three masters and a replica of each.
final class ClusteredRedis {
    let masters: [RedisServer]
    let replicas: [RedisServer]
    private var nodes: [RedisServer] { masters + replicas }
    /// A master that nobody has given a slot.
    let newcomer: RedisServer
    /// Two of the nodes are enough to find the others.
    var address: RedisAddress { RedisAddress(.cluster([masters[0].place, replicas[1].place])) }

    init() throws {
        func node() throws -> RedisServer {
            try RedisServer(
                port: freePort(),
                [
                    "--cluster-enabled", "yes", "--cluster-port", "\(freePort())", "--cluster-node-timeout", "1000",
                    "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
                ])
        }
        masters = try (0..<3).map { _ in try node() }
        replicas = try (0..<3).map { _ in try node() }
        newcomer = try node()
        for (index, master) in masters.enumerated() {
            let slots = Self.slots(of: index)
            try master.ask("CLUSTER", "ADDSLOTSRANGE", "\(slots.lowerBound)", "\(slots.upperBound)")
            try master.ask("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)")
        }
        for node in nodes.dropFirst() + [newcomer] {
            let bus = try node.ask("CONFIG", "GET", "cluster-port").split(separator: "\n").last ?? ""
            try masters[0].ask("CLUSTER", "MEET", "127.0.0.1", "\(node.port)", String(bus))
        }
        for node in nodes + [newcomer] {
            try node.wait(["CLUSTER", "INFO"]) { RedisServer.value("cluster_known_nodes", in: $0) == "7" }
        }
        for (master, replica) in zip(masters, replicas) {
            try replica.wait(["CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID")]) { $0 == "OK" }
        }
        for replica in replicas {
            try replica.wait(["INFO", "replication"]) { RedisServer.value("master_link_status", in: $0) == "up" }
        }
        for node in nodes {
            try node.wait(["CLUSTER", "INFO"]) { RedisServer.value("cluster_slots_ok", in: $0) == "16384" }
            try node.wait(["CLUSTER", "NODES"]) { $0.split(separator: "\n").count { $0.contains("slave") } == 3 }
        }
    }

    /// The slots that a master begins with.
    static func slots(of index: Int) -> ClosedRange<Int> { [0...5460, 5461...10922, 10923...16383][index] }

    /// Names of users whose counters are at one of the masters.
    static func users(of index: Int, _ count: Int) -> [String] {
        Array((0...).lazy.map { "user\($0)" }.filter { slots(of: index).contains(slot(of: $0)) }.prefix(count))
    }

    static func slot(of user: String) -> Int { RedisSlot.of(RedisSlot.tagged(Array("ratelimit:\(user):".utf8))) }
    static func key(of user: String, _ number: Int64) -> String { "{ratelimit:\(user):}\(number)" }
}
