import Policy
import Settings

extension ClaimHeader {
    /// Reads `identity_headers`: names to a claim, or to options. Nil where it is left out.
    static func readAll(_ section: Section) -> [ClaimHeader]? {
        guard section.has("identity_headers") else {
            _ = section.entries("identity_headers", accepted: "")
            return nil
        }
        let entries = section.entries("identity_headers", accepted: "a map of header names to claims") ?? []
        return entries.compactMap { entry in
            guard let options = entry.section else {
                return entry.value(.line).flatMap { section.claimPath("identity_headers", $0) }.flatMap { path in
                    section.attempt("identity_headers") { () throws(RuleMistake) in try ClaimHeader(HeaderName(entry.key), claims: [path]) }
                }
            }
            return read(entry.key, options)
        }
    }

    private static func read(_ name: String, _ options: Section) -> ClaimHeader? {
        let claims = options.claimPaths("claims")
        var separator = ","
        options.read("separator", .text, into: &separator)
        var standard: String?
        options.read("default", .text, into: &standard)
        var isRequired = false
        options.read("required", .boolean, into: &isRequired)
        guard let claims else {
            if !options.has("claims") { options.report("has no claims", accepted: "claims, a list of which the first that is there counts") }
            return nil
        }
        return options.attempt { () throws(RuleMistake) in
            try ClaimHeader(
                HeaderName(name), claims: claims, separator: separator, default: standard, isRequired: isRequired)
        }
    }
}

extension HeaderOperation {
    /// Reads a map of names to templates, and a list of names to remove.
    ///
    /// - Parameter path: the rule's, whose captures may stand in templates.
    static func readAll(
        _ section: Section, set: String, remove: String?, path: PathPattern?, isDenial: Bool = false
    ) -> [HeaderOperation] {
        var operations: [HeaderOperation] = []
        for entry in section.entries(set, accepted: "a map of header names to values") ?? [] {
            guard let text = entry.value(.text) else { continue }
            let operation = section.attempt(set) { () throws(RuleMistake) in
                HeaderOperation(
                    try HeaderName(entry.key), .set(try Template(header: text, path: path, isDenial: isDenial)))
            }
            if let operation { operations.append(operation) }
        }
        var names: [String] = []
        if let remove { section.readList(remove, .line, mayBeNull: true, into: &names) }
        for name in names {
            let operation = section.attempt(remove ?? set) { () throws(RuleMistake) in HeaderOperation(try HeaderName(name), .remove) }
            if let operation { operations.append(operation) }
        }
        return operations
    }
}
