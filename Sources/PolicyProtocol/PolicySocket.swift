/// Where both halves and the tool look for the policy socket unless they are told otherwise.
public enum PolicySocket {
    /// `$XDG_RUNTIME_DIR/gatehouse/policy.sock`, else `/run/gatehouse/policy.sock`.
    ///
    /// - Parameter environment: the process's own; an argument so that tests need not change it. An `XDG_RUNTIME_DIR` that is
    ///   empty or not absolute counts as unset, as the XDG Base Directory Specification demands.
    public static func defaultPath(environment: [String: String]) -> String {
        guard let directory = environment["XDG_RUNTIME_DIR"], directory.hasPrefix("/") else {
            return "/run/gatehouse/policy.sock"
        }
        var end = directory.endIndex
        while end > directory.startIndex, directory[directory.index(before: end)] == "/" { end = directory.index(before: end) }
        return directory[..<end] + "/gatehouse/policy.sock"
    }
}
