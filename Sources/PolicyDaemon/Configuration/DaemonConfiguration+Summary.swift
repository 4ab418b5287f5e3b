import Policy

extension DaemonConfiguration {
    /// What a configuration without mistakes amounts to.
    public var summary: String {
        let mode = String(socketMode, radix: 8)
        var lines = [
            "no mistakes",
            "socket: \(socketPath), mode 0\(mode)" + (socketUsers.map { ", users " + $0.map(String.init).joined(separator: ", ") } ?? ""),
            "workers: \(workers)",
            "counting: in \(place)",
        ]
        for issuer in issuers {
            lines.append("issuer \(issuer.name): " + (issuer.issuer.map { "iss \($0.debugDescription)" } ?? "any iss"))
        }
        if let apiKeyFile { lines.append("API keys: \(apiKeyFile)") }
        for rule in rules.rules { lines.append("rule \(rule.name): \(rule.summary)") }
        for overlap in RuleOverlap.all(in: rules.rules.map { ($0.name, $0.matcher) }) { lines.append(overlap.description) }
        return lines.joined(separator: "\n")
    }
}

extension Rule {
    fileprivate var summary: String {
        var parts: [String] = []
        if let methods = matcher.methods { parts.append(methods.description) }
        parts.append((matcher.host?.description ?? "any host") + " " + (matcher.path?.description ?? "any path"))
        parts.append("authentication \(options.authentication.rawValue)")
        for limit in options.limitsBeforeAuthentication + options.limits {
            parts.append("\(limit.name) \(limit.quotaText)" + (limit.isShadow ? " (shadow)" : ""))
        }
        return parts.joined(separator: ", ")
    }
}
