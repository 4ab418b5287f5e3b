import Bytes

/// The calls that are answered, by the path they come with. All are unary.
enum GRPCMethod: CaseIterable {
    case check
    case shouldRateLimit
    case health

    private var path: StaticString {
        switch self {
        case .check: "/envoy.service.auth.v3.Authorization/Check"
        case .shouldRateLimit: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
        case .health: "/grpc.health.v1.Health/Check"
        }
    }

    static func of(_ path: Span<UInt8>) -> GRPCMethod? {
        for method in allCases where path.equals(method.path) { return method }
        return nil
    }

    /// The services that a health check may name.
    static let services: [StaticString] = [
        "", "envoy.service.auth.v3.Authorization", "envoy.service.ratelimit.v3.RateLimitService", "grpc.health.v1.Health",
    ]
}
