import Bytes
import KeySources
import Logging
import Policy
import PolicyProtocol

/// Judges single requests as a daemon of one configuration does, with what it would have to look up given: no socket, no store,
/// no clock. Keys are read from files, and never fetched.
public struct Rehearsal {
    /// What a request came to.
    public struct Outcome: Sendable {
        /// The rule that it was judged by; nil where none matches.
        public let rule: String?
        /// Each step of the judgement, in words.
        public let steps: [String]
        /// The payload of the VERDICT.
        public let verdict: [UInt8]
    }

    private let rules: PolicyRules
    private let hasAPIKeys: Bool
    private let authentication: Authentication
    private let standIns: StandInIssuers

    /// - Throws: where a file with keys can't be used.
    public init(_ configuration: DaemonConfiguration) throws(UnusableKeySource) {
        rules = configuration.rules
        hasAPIKeys = configuration.apiKeyFile != nil
        let logger = Logger(label: "rehearsal") { _ in SwiftLogNoOpLogHandler() }
        let keeper = try KeyKeeper(
            configuration.issuers.map(\.keys), apiKeys: configuration.apiKeyFile.map { APIKeySource(path: $0) }, logger: logger)
        // Scenes are of different times, so nothing that one has verified is good for the next.
        authentication = Authentication(configuration, keeper: keeper, cacheCapacity: 1)
        standIns = try StandInIssuers(authentication, logger: logger)
    }

    /// The names of all limits.
    private var limitNames: [String] {
        rules.allLimits.reduce(into: []) { names, limit in if !names.contains(limit.name) { names.append(limit.name) } }
    }

    /// - Throws: where no daemon of this configuration could come to such a scene.
    public func judge(_ scene: Scene) throws(UnfitScene) -> Outcome {
        try check(scene)
        let (credential, place) = try credential(of: scene)
        var authentication = authentication
        if case .claims = scene.credential { authentication = standIns.authentication }
        let request = scene.request(carrying: credential, at: place)
        let trace = Trace()
        let decision = rules.decide(
            request, as: outcome(of: request, Authenticator(authentication), scene.nowUnixMilliseconds),
            counts: scene.used.mapValues { .counted($0) }, revocation: scene.isRevoked ? .revoked : .valid,
            nowUnixMilliseconds: scene.nowUnixMilliseconds, trace: trace)
        return Outcome(rule: decision.rule?.name, steps: trace.steps, verdict: encode(decision, scene.nowUnixMilliseconds))
    }

    /// What becomes of the credential that the request carries; nil where it carries none, or two.
    private func outcome(of request: Request, _ authenticator: Authenticator, _ now: Int64) -> AuthenticationOutcome? {
        let view = request.view
        guard case .one(let credential) = rules.credentials.find(view) else { return nil }
        return authenticator.authenticate(view.bytes.extracting(credential.range), credential.kind, nowUnixMilliseconds: now)
    }

    private func check(_ scene: Scene) throws(UnfitScene) {
        let names = limitNames
        for name in scene.used.keys.sorted() where !names.contains(name) {
            throw UnfitScene("there is no limit \(name.debugDescription); accepted is " + (names.isEmpty ? "none" : "one of " + names.joined(separator: ", ")))
        }
        guard !scene.isRevoked || rules.checksRevocation else {
            throw UnfitScene("the token is revoked, and revocation.enabled is false: nobody would ask")
        }
    }

    private func credential(of scene: Scene) throws(UnfitScene) -> (String?, CredentialSource?) {
        switch scene.credential {
        case .none: return (nil, nil)
        case .token(let token): return (token, rules.credentials.firstSource(of: .token))
        case .apiKey(let key):
            guard hasAPIKeys else { throw UnfitScene("there are no API keys; accepted is api_keys.file in the configuration") }
            return (key, rules.credentials.firstSource(of: .apiKey))
        case .claims(let claims, let issuer): return (try standIns.token(claims, issuer: issuer), rules.credentials.firstSource(of: .token))
        }
    }

    private func encode(_ decision: Policy.Decision, _ now: Int64) -> [UInt8] {
        let frame = ByteBuffer(capacity: 1024)
        frame.append(verdictOn: 1, decision, nowUnixMilliseconds: now, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
        frame.consume(FrameHeader.byteCount)
        return frame.bytes.array
    }
}
