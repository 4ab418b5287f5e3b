import EventLoop

extension HostLookup {
    /// Where a Redis is: looked up before each connection, since a failover may have moved its name.
    func addresses(
        of place: RedisAddress.Place, on waiter: Waiter, timeoutMilliseconds: Int64, unless isOver: () -> Bool
    ) async throws(RedisFailure) -> [SocketAddress] {
        do {
            switch place {
            case .unix(let path): return [try SocketAddress.unix(path: path)]
            case .tcp(let host, let port):
                return try await addresses(of: host, port: port, on: waiter, timeoutMilliseconds: timeoutMilliseconds, unless: isOver)
            }
        } catch {
            throw RedisFailure(description: "\(error)")
        }
    }
}
