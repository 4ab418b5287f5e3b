import Policy
import Settings

extension RateLimitRules {
    /// Reads `rate_limit_service`: domains, each a map of names to what a descriptor must have and its quota.
    static func read(_ root: Section) -> RateLimitRules {
        var rules = RateLimitRules()
        for domain in root.entries("rate_limit_service", accepted: "a map of Envoy's domains") ?? [] {
            guard let name = domain.key(as: .line), let section = domain.options(accepted: "a map of names to descriptors") else { continue }
            let entries = section.allEntries
            rules.domains[Array(name.utf8)] = entries.compactMap(Rule.read)
        }
        return rules
    }
}

extension RateLimitRules.Rule {
    fileprivate static func read(_ entry: Entry) -> RateLimitRules.Rule? {
        guard let name = entry.key(as: .name), let section = entry.options(accepted: "a map: descriptor, count, window_seconds") else { return nil }
        var texts: [String] = []
        section.readList("descriptor", .line, into: &texts)
        if !section.has("descriptor") {
            section.report("has no descriptor", accepted: "descriptor: a list of its keys, or KEY=VALUE for one value alone")
        }
        var isShadow = false
        section.read("shadow", .boolean, into: &isShadow)
        guard let quota = QuotaSettings.read(section, inheriting: nil)?.quota(section), !texts.isEmpty else { return nil }
        let entries = texts.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (key: Array(parts[0].utf8), value: parts.count > 1 ? Array(parts[1].utf8) : nil)
        }
        return RateLimitRules.Rule(name: name, entries: entries, quota: quota, isShadow: isShadow)
    }
}
