import Bytes

private let origin = Array("origin".utf8)
private let requestedMethodField = Array("access-control-request-method".utf8)

/// A browser's question whether a page may send a request (Fetch §3.2.2): it never has credentials.
enum CORSPreflight {
    /// The headers by which one is told from another OPTIONS request.
    static let headerNames = [origin, requestedMethodField]

    /// The method that the page wants to use, whose rule the question is about.
    ///
    /// - Returns: nil for a request that is no preflight: it must be OPTIONS with one `Origin` and one
    ///   `Access-Control-Request-Method`.
    @_lifetime(borrow request)
    static func requestedMethod(
        of request: borrowing RequestView
    ) -> Span<UInt8>? {
        guard request.method.equals("OPTIONS"), request.header(origin.span, at: 0) != nil,
            request.header(origin.span, at: 1) == nil, request.header(requestedMethodField.span, at: 1) == nil,
            let method = request.header(requestedMethodField.span, at: 0), method.count > 0
        else { return nil }
        return method
    }
}
