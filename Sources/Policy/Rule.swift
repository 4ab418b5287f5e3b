/// What is asked of the requests that match, and what becomes of them.
public final class Rule: Sendable {
    public enum Authentication: String, Sendable, CaseIterable {
        /// Without a credential that holds, the request is denied.
        case required
        /// Without a credential, the request is nobody's; one that is there must hold.
        case optional
        /// Credentials are not looked at.
        case none
    }

    /// Everything about a rule that an operator may choose.
    public struct Options: Sendable {
        public var authentication = Authentication.required
        /// Whether a CORS preflight is let through, unauthenticated.
        public var allowsPreflight = false
        /// The places of the issuers whose tokens are accepted; nil: any issuer's.
        public var issuers: Set<Int>?
        public var acceptsAPIKeys = true
        public var conditions: [ClaimCondition] = []
        public var certificateConditions: [CertificateCondition] = []
        public var limits: [Limit] = []
        /// Counted before anybody is authenticated.
        public var limitsBeforeAuthentication: [Limit] = []
        /// What a request counts for by ``limits``; by ``limitsBeforeAuthentication`` it counts for 1.
        public var cost = 1
        /// What the upstream is told of who asks.
        public var identityHeaders = ClaimHeader.identity
        public var requestHeaders: [HeaderOperation] = []
        public var responseHeaders: [HeaderOperation] = []
        public var denials = Denials.usual

        public init() {}
    }

    public let name: String
    /// Its place in ``PolicyRules/rules``.
    public let index: Int
    public let matcher: RequestMatcher
    public let options: Options
    /// Whether some of its headers say something of the request.
    let hasHeadersByRequest: Bool
    /// Whether the operator says what becomes of the cookies.
    let changesCookies: Bool
    /// Headers that carry nothing but credentials, which no upstream is to see, but for those that the operator puts something
    /// else into.
    let credentialHeaders: [[UInt8]]

    init(_ name: String, index: Int, _ matcher: RequestMatcher, _ options: Options, credentialHeaders: [[UInt8]]) {
        self.name = name
        self.index = index
        self.matcher = matcher
        self.options = options
        let changed = options.identityHeaders.map(\.name.bytes) + options.requestHeaders.map(\.name.bytes)
        self.credentialHeaders = options.authentication == .none ? [] : credentialHeaders.filter { !changed.contains($0) }
        changesCookies = changed.contains(Array("cookie".utf8))
        hasHeadersByRequest = (options.requestHeaders + options.responseHeaders).contains { $0.dependsOnRequest }
    }

    /// Whether the request must be kept until the verdict is written.
    var needsRequestToAnswer: Bool { hasHeadersByRequest || options.denials.dependOnRequest }

    /// Whether a credential of this identity is one for the rule.
    func accepts(_ identity: Identity) -> Bool {
        switch identity.kind {
        case .token(let issuer): options.issuers?.contains(issuer) ?? true
        case .apiKey: options.acceptsAPIKeys
        case .anonymous: false
        }
    }
}
