import JSON
import Policy
import Settings

/// A limit as it is configured, which rules make theirs.
struct LimitSettings {
    let name: String
    let parts: [LimitKey.Part]
    let quota: Quota
    let isShadow: Bool
    let plans: (claim: ClaimPath, allowances: [String: Allowance.Kind])?
    let overrides: [String: Allowance.Kind]

    static let usualName = "default"
    static let failuresName = "failed-authentications"
    private static let reservedNames = [usualName, failuresName]

    /// Whether it lets more or less through for some than for others.
    var dependsOnIdentity: Bool { plans != nil || !overrides.isEmpty }

    /// Reads one entry of `limits`. Nil where it is wrong, which is then reported.
    static func read(_ entry: Entry) -> LimitSettings? {
        guard let name = entry.key(as: .name), let section = entry.options(accepted: "a map of options: key, count and the like") else { return nil }
        if reservedNames.contains(name) {
            section.report("has the name of a limit that there is without it", accepted: "another name")
        }
        var parts: [String] = []
        section.readList("key", .line, into: &parts)
        if !section.has("key") { section.report("has no key", accepted: "key, a list of what it counts by, such as [subject]") }
        let read = parts.compactMap { part in
            section.attempt("key") { () throws(RuleMistake) in try LimitKey.Part(part) }
        }
        let quota = QuotaSettings.read(section, inheriting: nil)
        var isShadow = false
        section.read("shadow", .boolean, into: &isShadow)
        let plans = readPlans(section, quota)
        let overrides = allowances("overrides", in: section, quota)
        guard let quota = quota?.quota(section), read.count == parts.count, !parts.isEmpty,
            section.attempt("key", { () throws(RuleMistake) in try LimitKey(name: name, parts: read, rule: "") }) != nil
        else { return nil }
        return LimitSettings(name: name, parts: read, quota: quota, isShadow: isShadow, plans: plans, overrides: overrides)
    }

    private static func readPlans(
        _ section: Section, _ standard: QuotaSettings?
    ) -> (claim: ClaimPath, allowances: [String: Allowance.Kind])? {
        var claim: String?
        section.read("plan_claim", .line, into: &claim)
        let plans = allowances("plans", in: section, standard)
        guard section.has("plans") || claim != nil else { return nil }
        guard let claim else {
            section.report("plans", "stands without plan_claim", accepted: "plan_claim beside it: the claim that names the plan")
            return nil
        }
        guard section.has("plans") else {
            section.report("plan_claim", "stands without plans", accepted: "plans beside it: a map of what the claim may say to unlimited, denied, or count and the like")
            return nil
        }
        return section.claimPath("plan_claim", claim).map { ($0, plans) }
    }

    /// What is let through by name: `unlimited`, `denied`, or another count.
    private static func allowances(_ key: String, in section: Section, _ standard: QuotaSettings?) -> [String: Allowance.Kind] {
        var allowances: [String: Allowance.Kind] = [:]
        for entry in section.entries(key, accepted: "a map of names to unlimited, denied, or count and the like") ?? [] {
            if let options = entry.section {
                if let quota = QuotaSettings.read(options, inheriting: standard)?.quota(options) { allowances[entry.key] = .quota(quota) }
            } else if let word = entry.value(Form<AllowanceWord>.allowanceWord) {
                allowances[entry.key] = word == .unlimited ? .unlimited : .denied
            }
        }
        return allowances
    }

    /// The limit of a rule.
    func limit(of rule: String) throws(RuleMistake) -> Limit {
        Limit(try LimitKey(name: name, parts: parts, rule: rule), quota: quota, isShadow: isShadow, plans: plans, overrides: overrides)
    }
}

/// The options of a quota.
struct QuotaSettings {
    var algorithm = LimitAlgorithm.slidingWindow
    var count: Int?
    var windowSeconds = 60
    var burst: Int?

    /// - Parameter standard: where what is left out comes from.
    static func read(_ section: Section, inheriting standard: QuotaSettings?) -> QuotaSettings? {
        var settings = standard ?? QuotaSettings()
        if standard == nil {
            section.read("algorithm", .choice, into: &settings.algorithm)
            section.read("window_seconds", .integer(Quota.acceptedWindowSeconds), into: &settings.windowSeconds)
        } else {
            settings.burst = nil
        }
        section.read("count", .integer(Quota.acceptedCounts), into: &settings.count)
        section.read("burst", .integer(Quota.acceptedCounts), into: &settings.burst)
        return settings
    }

    /// Nil where there is no such quota, which is then reported.
    func quota(_ section: Section) -> Quota? {
        guard let count else {
            if !section.has("count") { section.report("has no count", accepted: "count: how many requests in a window") }
            return nil
        }
        do throws(InvalidQuota) {
            return try Quota(algorithm, count: count, windowSeconds: windowSeconds, burst: burst)
        } catch {
            section.report("can't be used: \(error)", accepted: nil)
            return nil
        }
    }
}

private enum AllowanceWord: String {
    case unlimited
    case denied
}

extension Form where Value == AllowanceWord {
    fileprivate static var allowanceWord: Form {
        Form(accepted: "unlimited, denied, or a map with a count of its own") { AllowanceWord(rawValue: $0) }
    }
}
