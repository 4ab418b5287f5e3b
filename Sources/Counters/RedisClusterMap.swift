/// Who serves which slots, as one node of a cluster sees it.
struct RedisClusterMap {
    private static let maximumNodes = 1024
    /// In ``owners``: nobody.
    static let nobody = UInt16.max

    /// The cluster's configuration epoch: of two maps the one with the higher one is newer.
    let epoch: Int64
    private(set) var masters: [RedisAddress.Place] = []
    private(set) var replicas: [RedisAddress.Place] = []
    /// For each slot the place of its master in ``masters``.
    private(set) var owners = [UInt16](repeating: nobody, count: RedisSlot.count)

    /// What has to be asked.
    static let commands = [["CLUSTER", "INFO"], ["CLUSTER", "SLOTS"]]

    /// - Parameters:
    ///   - replies: those to ``commands``.
    ///   - place: the node that answered.
    init(_ replies: [RedisValue], from place: RedisAddress.Place) throws(RedisFailure) {
        for case .error(let text) in replies { throw RedisFailure(description: text) }
        guard replies.count == 2, let info = replies[0].string, case .array(let ranges) = replies[1] else {
            throw RedisFailure(description: "it doesn't say what the cluster is")
        }
        let epochs = info.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("cluster_current_epoch:") }
        epoch = epochs.first.flatMap { Int64($0.dropFirst(22)) } ?? 0
        var indices: [RedisAddress.Place: UInt16] = [:]
        for range in ranges {
            let parts = range.elements
            guard parts.count >= 3, let first = parts[0].number, let last = parts[1].number, first >= 0, first <= last,
                last < RedisSlot.count, let master = Self.node(parts[2], place)
            else { throw RedisFailure(description: "it doesn't say which node serves what") }
            if indices[master] == nil {
                indices[master] = UInt16(masters.count)
                masters.append(master)
                guard masters.count <= Self.maximumNodes else { throw RedisFailure(description: "the cluster is too large") }
            }
            for slot in Int(first)...Int(last) { owners[slot] = indices[master] ?? Self.nobody }
            for replica in parts[3...].compactMap({ Self.node($0, place) }) where !replicas.contains(replica) {
                if replicas.count < Self.maximumNodes { replicas.append(replica) }
            }
        }
        guard !masters.isEmpty else { throw RedisFailure(description: "no node of the cluster serves anything") }
    }

    private static func node(_ value: RedisValue, _ asked: RedisAddress.Place) -> RedisAddress.Place? {
        let parts = value.elements
        guard parts.count >= 2, let port = parts[1].number, (1...65535).contains(port) else { return nil }
        if let host = parts[0].string, !host.isEmpty, host != "?" { return .tcp(host: host, port: Int(port)) }
        // It doesn't know its own address but by the connection.
        guard case .tcp(let host, _) = asked else { return nil }
        return .tcp(host: host, port: Int(port))
    }
}
