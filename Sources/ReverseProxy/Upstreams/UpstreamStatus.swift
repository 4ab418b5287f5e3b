/// What all workers share of one upstream.
final class UpstreamStatus: Sendable {
    let upstream: Upstream
    let endpoints: [EndpointStatus]

    /// - Throws: where the address of an endpoint can't be found.
    init(resolving upstream: Upstream) throws {
        self.upstream = upstream
        endpoints = try upstream.endpoints.map { EndpointStatus($0, addresses: try $0.resolve()) }
    }
}
