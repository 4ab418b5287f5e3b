import Bytes

/// Which certificate answers to which name: an exact one before a wildcard, which stands for one label (RFC 9525 §6.3).
struct ServerNames: Sendable, Equatable {
    private var exact: [String: Int] = [:]
    /// By what follows the `*`, with its dot.
    private var wildcards: [String: Int] = [:]

    /// Has `name` mean the certificate at `index`, unless an earlier one answers to it already.
    mutating func add(_ name: String, at index: Int) {
        let name = Self.normalize(name)
        if name.hasPrefix("*.") {
            let parent = String(name.dropFirst())
            if wildcards[parent] == nil { wildcards[parent] = index }
        } else if exact[name] == nil {
            exact[name] = index
        }
    }

    /// The certificate for a name that a client asks for; nil where none answers to it.
    func index(of name: String) -> Int? {
        let name = Self.normalize(name)
        if let index = exact[name] { return index }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[dot...])]
    }

    /// Names are compared without regard to case, and the root's dot is no part of them.
    private static func normalize(_ name: String) -> String {
        let lowered = name.lowercasedASCII
        return lowered.hasSuffix(".") ? String(lowered.dropLast()) : lowered
    }
}
