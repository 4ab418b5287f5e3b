/// Why there is no connection to an endpoint.
enum ConnectFailure: Error {
    /// It takes none, or none in time.
    case endpoint
    /// Another request has tried, and this one waited for what comes of that: the endpoint has failed once, not once for each.
    case sharedAttempt
    /// This process may not open another one.
    case exhausted

    /// What it says of the endpoint.
    var outcome: UpstreamOutcome {
        switch self {
        case .endpoint: .failed
        case .sharedAttempt, .exhausted: .unknown
        }
    }
}
