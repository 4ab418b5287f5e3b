import JSON
import Policy
import Settings

extension PolicyRules {
    /// Reads everything that requests are judged by. Nil where it is wrong, which is then reported.
    static func read(_ root: Section, subjectClaims: [ClaimPath], issuers: IssuerNames, hasAPIKeys: Bool) -> PolicyRules? {
        var (count, windowSeconds) = (100, 60)
        let limit = root.section("limit")
        limit.read("count", .integer(Quota.acceptedCounts), overriddenBy: "RATE_LIMIT", into: &count)
        limit.read("window_seconds", .integer(Quota.acceptedWindowSeconds), overriddenBy: "RATE_WINDOW_SECONDS", into: &windowSeconds)
        let entries = root.entries("limits", accepted: "a map of names to limits") ?? []
        let limits = LimitTable(
            usual: try? Limit(ofUser: count, windowSeconds: windowSeconds), named: entries.compactMap(LimitSettings.read),
            all: entries.map(\.key))

        var fields = LimitFields()
        let shown = root.section("limit_headers")
        shown.read("x_ratelimit", .boolean, into: &fields.sendsXRateLimit)
        shown.read("ratelimit", .boolean, into: &fields.sendsRateLimit)

        let credentials = CredentialRules.read(root, hasAPIKeys: hasAPIKeys)
        let failures = failureLimit(root)
        let identityHeaders = ClaimHeader.readAll(root) ?? (try? ClaimHeader.identity(subject: subjectClaims)) ?? ClaimHeader.identity
        let denials = DenialSettings.read(root)
        var checksRevocation = false
        root.section("revocation").read("enabled", .boolean, into: &checksRevocation)

        var standard = Rule.Options()
        standard.identityHeaders = identityHeaders
        standard.denials = denials.denials
        var rules: [(name: String, matcher: RequestMatcher, options: Rule.Options)] = []
        if let entries = root.entries("rules", accepted: "a map of names to rules") {
            let reader = RuleReader(issuers: issuers, limits: limits, standard: standard, denials: denials)
            rules = entries.compactMap(reader.read)
            limits.reportUnused(root)
        } else {
            if !entries.isEmpty { root.report("limits", "stands without rules", accepted: "rules beside it, which say what is limited by which") }
            standard.limits = limits.limit(LimitSettings.usualName, of: "default").map { [$0] } ?? []
            rules = [("default", RequestMatcher(), standard)]
        }
        return root.attempt("rules") { () throws(RuleMistake) in
            try PolicyRules(
                rules, credentials: credentials, failureLimit: failures, checksRevocation: checksRevocation, limitFields: fields,
                denials: denials.denials)
        }
    }

    /// `failed_authentications`: how many credentials from one address may be refused.
    private static func failureLimit(_ root: Section) -> Limit? {
        let section = root.section("failed_authentications")
        var count: Int?
        var windowSeconds = 60
        section.read("count", .integer(Quota.acceptedCounts), into: &count)
        section.read("window_seconds", .integer(Quota.acceptedWindowSeconds), into: &windowSeconds)
        guard let count, let quota = try? Quota(count: count, windowSeconds: windowSeconds) else { return nil }
        return (try? LimitKey(name: LimitSettings.failuresName, parts: [.clientAddress], rule: "")).map { Limit($0, quota: quota) }
    }
}

/// The issuers that rules may name.
struct IssuerNames {
    /// Of those that were read without a mistake, in their order.
    let usable: [String]
    /// Those with mistakes too.
    let all: [String]
}

/// The limits that rules may name.
final class LimitTable {
    private let usual: Limit?
    private let named: [LimitSettings]
    /// Those with mistakes too.
    let names: [String]
    private var used: Set<String> = []

    /// - Parameter all: the names of all that are configured, those with mistakes too.
    init(usual: Limit?, named: [LimitSettings], all: [String]) {
        self.usual = usual
        self.named = named
        names = [LimitSettings.usualName] + all
    }

    /// What is configured under this name; nil for the usual one, and where it is wrong.
    func settings(_ name: String) -> LimitSettings? { named.first { $0.name == name } }

    /// The limit of this name as a rule's own; nil where there is none that can be used.
    func limit(_ name: String, of rule: String) -> Limit? {
        used.insert(name)
        if let settings = settings(name) { return try? settings.limit(of: rule) }
        return name == LimitSettings.usualName ? usual : nil
    }

    func reportUnused(_ root: Section) {
        for name in names.dropFirst() where !used.contains(name) {
            root.report("limits", "has \(name.debugDescription), which is used by no rule", accepted: "a rule that has it among its limits")
        }
        if root.has("limit"), !used.contains(LimitSettings.usualName) {
            root.report("limit", "is used by no rule", accepted: "a rule with limits: [\(LimitSettings.usualName)]")
        }
    }
}

/// Reads the entries of `rules`.
private struct RuleReader {
    let issuers: IssuerNames
    let limits: LimitTable
    let standard: Rule.Options
    let denials: DenialSettings

    func read(_ entry: Entry) -> (name: String, matcher: RequestMatcher, options: Rule.Options)? {
        guard let name = entry.key(as: .name), let section = entry.options(accepted: "a map of options: path, limits and the like") else { return nil }
        let matcher = matcher(section)
        var options = standard
        section.read("authentication", .choice, into: &options.authentication)
        section.read("allow_preflight", .boolean, into: &options.allowsPreflight)
        readIssuers(section, &options)
        let conditions = Conditions(section)
        (options.conditions, options.certificateConditions) = (conditions.claims, conditions.certificate)
        if options.authentication == .none, !options.conditions.isEmpty {
            section.report("conditions", "stand in a rule that authenticates nobody", accepted: "authentication: required or optional; or conditions on the certificate alone")
        }
        section.read("cost", .integer(1...1_000_000), into: &options.cost)
        options.limits = readLimits(
            "limits", section, rule: name, cost: options.cost, mayCountByIdentity: options.authentication != .none)
        options.limitsBeforeAuthentication = readLimits(
            "limits_before_authentication", section, rule: name, cost: 1, mayCountByIdentity: false)
        if let headers = ClaimHeader.readAll(section) { options.identityHeaders = headers }
        options.requestHeaders = HeaderOperation.readAll(
            section, set: "request_headers", remove: "remove_request_headers", path: matcher.path)
        options.responseHeaders = HeaderOperation.readAll(
            section, set: "response_headers", remove: "remove_response_headers", path: matcher.path)
        options.denials = DenialSettings.read(section, inheriting: denials, path: matcher.path).denials
        return (name, matcher, options)
    }

    private func matcher(_ section: Section) -> RequestMatcher {
        var (host, path): (String?, String?)
        section.read("host", .line, into: &host)
        section.read("path", .line, into: &path)
        var methods: [String] = []
        section.readList("methods", .line, mayBeNull: true, into: &methods)
        return RequestMatcher(
            host: host.flatMap { host in section.attempt("host") { () throws(RuleMistake) in try HostPattern(host) } },
            methods: methods.isEmpty ? nil : section.attempt("methods") { () throws(RuleMistake) in try MethodSet(methods) },
            path: path.flatMap { path in section.attempt("path") { () throws(RuleMistake) in try PathPattern(path) } })
    }

    private func readIssuers(_ section: Section, _ options: inout Rule.Options) {
        var names: [String] = []
        section.readList("issuers", .line, mayBeNull: true, into: &names)
        // Whoever lists whose tokens are accepted means nobody else.
        options.acceptsAPIKeys = !section.has("issuers")
        section.read("api_keys", .boolean, into: &options.acceptsAPIKeys)
        guard section.has("issuers") else { return }
        var places: Set<Int> = []
        for name in names {
            if let place = issuers.usable.firstIndex(of: name) {
                places.insert(place)
            } else if !issuers.all.contains(name) {
                let accepted = issuers.all.isEmpty ? "none: there are no issuers" : "one of " + issuers.all.joined(separator: ", ")
                section.report("issuers", "has \(name.debugDescription), which is no issuer", accepted: accepted)
            }
        }
        options.issuers = places
    }

    /// - Parameters:
    ///   - cost: what a request counts for.
    ///   - mayCountByIdentity: whether it is known by then who asks.
    private func readLimits(_ key: String, _ section: Section, rule: String, cost: Int, mayCountByIdentity: Bool) -> [Limit] {
        var names: [String] = []
        section.readList(key, .line, mayBeNull: true, into: &names)
        if names.count > RuleLimits.limitsPerRule {
            section.report(key, "has \(names.count) limits", accepted: "at most \(RuleLimits.limitsPerRule)")
        }
        return names.prefix(RuleLimits.limitsPerRule).compactMap { name in
            guard limits.names.contains(name) else {
                section.report(
                    key, "has \(name.debugDescription), which is no limit", accepted: "one of " + limits.names.joined(separator: ", "))
                return nil
            }
            guard let limit = limits.limit(name, of: rule) else { return nil }
            if !mayCountByIdentity, limit.key.dependsOnIdentity || limits.settings(name)?.dependsOnIdentity == true {
                section.report(
                    key, "has \(name.debugDescription), which depends on who asks, where nobody knows that",
                    accepted: "limits by client.ip, header.NAME, certificate.NAME and rule, without plans and overrides")
            }
            if let most = limit.maximumCost, cost > most {
                section.report(
                    "cost", "is \(cost), and \(name.debugDescription) never lets more than \(most) through at once", accepted: "at most that")
            }
            return limit
        }
    }
}

extension CredentialRules {
    /// Reads `credentials`, and where API keys are looked for.
    static func read(_ root: Section, hasAPIKeys: Bool) -> CredentialRules {
        var tokens = [CredentialSource.header(name: "authorization", scheme: "Bearer")]
        root.readList("credentials", .credentialSource, mayBeNull: true, into: &tokens)
        var keys = [CredentialSource.header(name: "x-api-key", scheme: nil)]
        root.section("api_keys").readList("credentials", .credentialSource, mayBeNull: true, into: &keys)
        return CredentialRules(tokens: tokens, apiKeys: hasAPIKeys ? keys : [])
    }
}

extension Form where Value == CredentialSource {
    /// `header NAME [SCHEME]`, `cookie NAME` or `query NAME`.
    static var credentialSource: Form {
        Form(accepted: "header NAME, header NAME SCHEME, cookie NAME or query NAME") { text in
            let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard words.count >= 2, words.allSatisfy({ $0.utf8.allSatisfy(Self.isNameByte) && !$0.isEmpty }) else { return nil }
            switch (words[0], words.count) {
            case ("header", 2): return .header(name: words[1].lowercased(), scheme: nil)
            case ("header", 3): return .header(name: words[1].lowercased(), scheme: words[2])
            case ("cookie", 2): return .cookie(name: words[1])
            case ("query", 2): return .query(name: words[1])
            default: return nil
            }
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
