import JSON

extension ClaimPath {
    /// Reads a path that stands in a rule.
    init(inRule text: String) throws(RuleMistake) {
        do throws(InvalidClaimPath) { self = try ClaimPath(text) } catch { throw RuleMistake(error.description) }
    }
}
