extension JSONObject {
    /// The value of the member of this name; where there is none, of the one that a dot in the name leads to: `realm_access.roles`
    /// is `roles` within `realm_access`. A name that has dots itself goes before the way that they would lead.
    public func value(at path: String) -> JSONValue? {
        if let value = self[path] { return value }
        for dot in path.indices where path[dot] == "." {
            if let inner = self[String(path[..<dot])]?.object, let value = inner.value(at: String(path[path.index(after: dot)...])) {
                return value
            }
        }
        return nil
    }
}
