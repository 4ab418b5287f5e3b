import Bytes

/// What an admin request is answered with.
public struct AdminAnswer: Sendable {
    public var status: UInt16
    public var contentType: StaticString
    public var body: [UInt8]

    public init(_ status: UInt16, contentType: StaticString, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// One line of text.
    public init(_ status: UInt16, _ text: String) {
        self.init(status, contentType: "text/plain; charset=utf-8", body: Array("\(text)\n".utf8))
    }
}

/// One thing that the admin listener answers.
public struct AdminRoute: Sendable {
    /// The method besides HEAD, which goes where GET goes.
    public enum Method: String, Sendable { case get = "GET", post = "POST" }

    let method: Method
    let path: String
    let answer: @Sendable () async -> AdminAnswer

    /// - Parameters:
    ///   - path: exactly; what a query says is passed over.
    ///   - answer: runs on the listener's thread, and is not waited for longer than ``AdminLimits/answerMilliseconds``.
    public init(_ method: Method, _ path: String, _ answer: @escaping @Sendable () async -> AdminAnswer) {
        self.method = method
        self.path = path
        self.answer = answer
    }

    /// `GET /metrics`: everything in `registry`.
    public static func metrics(_ registry: MetricRegistry) -> AdminRoute {
        AdminRoute(.get, "/metrics") {
            let text = ByteBuffer(capacity: 16 * 1024)
            registry.write(to: text)
            return AdminAnswer(200, contentType: PrometheusText.contentType, body: text.bytes.array)
        }
    }

    /// `POST /reload`: 200, or 422 with what is wrong.
    ///
    /// - Parameter reload: nil, or why the configuration before is still in force.
    public static func reload(_ reload: @escaping @Sendable () -> String?) -> AdminRoute {
        AdminRoute(.post, "/reload") {
            if let mistake = reload() { AdminAnswer(422, "not reloaded, the configuration before is still in force:\n\(mistake)") } else { AdminAnswer(200, "reloaded") }
        }
    }

    /// `GET /live`: 200 for as long as this process answers at all.
    public static let live = AdminRoute(.get, "/live") { AdminAnswer(200, "live") }

    /// `GET /ready`: 200, or 503 with what is missing.
    ///
    /// - Parameter whatIsMissing: nil where requests can be served.
    public static func ready(_ whatIsMissing: @escaping @Sendable () -> String?) -> AdminRoute {
        AdminRoute(.get, "/ready") {
            if let missing = whatIsMissing() { AdminAnswer(503, "not ready: \(missing)") } else { AdminAnswer(200, "ready") }
        }
    }
}
