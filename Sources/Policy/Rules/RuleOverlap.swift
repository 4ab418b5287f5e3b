/// How two rules stand to each other where both match, and which rules are never reached: what an operator is told of a list
/// of rules before it is used.
public struct RuleOverlap: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: Sendable, Equatable {
        /// Whatever the rule matches belongs to more specific ones: a mistake.
        case neverReached
        /// All that the winner matches is taken out of the rule: the usual exception.
        case exception
        /// Each matches requests that the other doesn't.
        case partial
    }

    public let kind: Kind
    /// The rule that comes second, by name.
    public let rule: String
    /// The rules that go before it.
    public let winners: [String]
    /// A request that both match, as in `GET example.com/api/x`.
    public let example: String

    public var description: String {
        let winners = self.winners.map(quoted)
        return switch kind {
        case .neverReached where winners.count == 1: "rule \(quoted(rule)) is never reached: \(winners[0]) matches all of it"
        case .neverReached:
            "rule \(quoted(rule)) is never reached: \(winners.dropLast().joined(separator: ", ")) and \(winners.last ?? "") together match all of it"
        case .exception: "rule \(winners[0]) is an exception to \(quoted(rule)), such as for \(example)"
        case .partial: "rule \(winners[0]) goes before \(quoted(rule)) where both match, such as for \(example)"
        }
    }

    /// All overlaps of a list that has no conflict: first the rules that are never reached, then the pairs, in the order of the
    /// list.
    public static func all(in rules: [(name: String, matcher: RequestMatcher)]) -> [RuleOverlap] {
        var unreachable: [RuleOverlap] = []
        var pairs: [RuleOverlap] = []
        let depth = rules.map { $0.matcher.path?.segments.count ?? 0 }.max() ?? 0
        for (index, rule) in rules.enumerated() {
            let rivals = rules.filter { $0.matcher.isMoreSpecific(than: rule.matcher) && $0.matcher.commonRequest(rule.matcher) != nil }
            var winners: [String] = []
            let isReached = rule.matcher.samples(maximumDepth: depth).contains { sample in
                guard let winner = rivals.first(where: { $0.matcher.matches(sample) }) else { return true }
                if !winners.contains(winner.name) { winners.append(winner.name) }
                return false
            }
            if !isReached, let example = rule.matcher.commonRequest(rule.matcher) {
                unreachable.append(RuleOverlap(kind: .neverReached, rule: rule.name, winners: winners, example: example.text))
            }
            for other in rules[(index + 1)...] {
                guard let common = rule.matcher.commonRequest(other.matcher) else { continue }
                let (first, second) = rule.matcher.isMoreSpecific(than: other.matcher) ? (rule, other) : (other, rule)
                let kind: Kind = second.matcher.covers(first.matcher) ? .exception : .partial
                pairs.append(RuleOverlap(kind: kind, rule: second.name, winners: [first.name], example: common.text))
            }
        }
        return unreachable + pairs
    }

    static func refuseConflicts(_ rules: [(name: String, matcher: RequestMatcher)]) throws(RuleMistake) {
        // Only rules of one shape can be equally specific, and of those only a few are alike.
        var groups: [Shape: [(name: String, matcher: RequestMatcher)]] = [:]
        for rule in rules { groups[Shape(rule.matcher), default: []].append(rule) }
        for group in groups.values {
            for (index, rule) in group.enumerated() {
                for other in group[..<index] {
                    guard let common = rule.matcher.commonRequest(other.matcher), !rule.matcher.isMoreSpecific(than: other.matcher),
                        !other.matcher.isMoreSpecific(than: rule.matcher)
                    else { continue }
                    throw RuleMistake(
                        "the rules \(quoted(other.name)) and \(quoted(rule.name)) are equally specific and both match \(common.text): change the host, the methods (GET has HEAD as well) or the path of one"
                    )
                }
            }
        }
    }

    /// What two rules must have in common to be equally specific and match the same request.
    private struct Shape: Hashable {
        let host: HostPattern?
        let segments: [PathPattern.Segment]?
        let isOpen: Bool

        init(_ matcher: RequestMatcher) {
            host = matcher.host
            segments = matcher.path?.segments.map { if case .capture = $0 { .capture("") } else { $0 } }
            isOpen = matcher.path?.isOpen ?? false
        }
    }
}
