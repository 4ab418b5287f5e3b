import JSON

/// Tells in words, step by step, how a request was judged.
public final class Trace {
    public private(set) var steps: [String] = []

    public init() {}

    func note(_ step: @autoclosure () -> String) { steps.append(step()) }

    /// Conditions are checked up to the first that doesn't hold.
    func note(_ conditions: [ClaimCondition], _ claims: JSONObject) {
        for condition in conditions {
            let holds = condition.holds(for: claims)
            note("condition on \(condition.claim): \(holds ? "holds" : "doesn't hold")")
            guard holds else { return }
        }
    }

    func note(_ hit: Hit, _ status: LimitStatus?) {
        let shadow = hit.limit.isShadow ? " (shadow)" : ""
        guard let status else { return note("limit \(hit.limit.name)\(shadow): nobody could count") }
        let standing = status.isAdmitted ? "\(status.remaining) of \(status.limit) left" : "over, again in \(status.retryAfterSeconds) s"
        note("limit \(hit.limit.name)\(shadow), counted by \(String(decoding: hit.key, as: UTF8.self)): \(standing)")
    }
}
