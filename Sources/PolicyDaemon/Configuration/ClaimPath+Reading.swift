import JSON
import Settings

extension Section {
    /// What was read as the claim's path that `key` has. Nil where it is none, which is then reported.
    func claimPath(_ key: String, _ text: String) -> ClaimPath? {
        attempt(key) { () throws(InvalidClaimPath) in try ClaimPath(text) }
    }

    /// Reads a list of claims' paths. Nil where it is left out, empty, or has one that is none, which is then reported.
    func claimPaths(_ key: String, mayBeNull: Bool = false) -> [ClaimPath]? {
        var texts: [String] = []
        readList(key, .line, mayBeNull: mayBeNull, into: &texts)
        let paths = texts.compactMap { claimPath(key, $0) }
        return paths.isEmpty || paths.count < texts.count ? nil : paths
    }
}
