/// Where both halves and the tool look for the policy socket unless they are told otherwise.
public enum PolicySocket {
    /// Where a daemon is that was installed for the whole machine.
    private static let systemPath = "/run/gatehouse/policy.sock"

    /// Where somebody at a terminal looks for a daemon, one after the other: for one of their own, then for the machine's. Who has logged in has
    /// a runtime directory, and yet may mean that one.
    public static func usualPaths(environment: [String: String]) -> [String] {
        let own = defaultPath(environment: environment)
        return own == systemPath ? [own] : [own, systemPath]
    }

    /// `$XDG_RUNTIME_DIR/gatehouse/policy.sock`, else `/run/gatehouse/policy.sock`.
    ///
    /// - Parameter environment: the process's own; an argument so that tests need not change it. An `XDG_RUNTIME_DIR` that is
    ///   empty or not absolute counts as unset, as the XDG Base Directory Specification demands.
    public static func defaultPath(environment: [String: String]) -> String {
        guard let directory = environment["XDG_RUNTIME_DIR"], directory.hasPrefix("/") else { return systemPath }
        var end = directory.endIndex
        while end > directory.startIndex, directory[directory.index(before: end)] == "/" { end = directory.index(before: end) }
        return directory[..<end] + "/gatehouse/policy.sock"
    }
}
