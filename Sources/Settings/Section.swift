/// A map of options, in the file or absent from it. Whatever a program doesn't read of it is a mistake of the operator's.
///
/// Reading never stops at a mistake: the value stays as it was, and ``SettingsReader/finish()`` throws what was found.
public final class Section {
    /// Dotted, from the root, for messages; empty for the root.
    let path: String
    private unowned let reader: SettingsReader
    private let members: [Element.Member]
    private let place: Place
    /// ``path`` with a star for each key that is the operator's own; nil where all are the program's.
    private let pattern: String?
    private var known: [String] = []
    private var sections: [(key: String, section: Section)] = []

    init(_ members: [Element.Member], path: String, place: Place, reader: SettingsReader, pattern: String?) {
        self.members = members
        self.path = path
        self.place = place
        self.reader = reader
        self.pattern = pattern
    }

    // MARK: Values

    /// Reads an option into `value`, which keeps its built-in default where the option is not given.
    ///
    /// - Parameters:
    ///   - variable: the environment variable that overrides the file. An empty one counts as unset.
    ///   - mayBeNull: whether `null` may be written for the built-in default. It may where that can't be written itself.
    public func read<Value>(
        _ key: String, _ form: Form<Value>, overriddenBy variable: String? = nil, mayBeNull: Bool = false,
        into value: inout Value
    ) {
        if let found = self.value(key, form, overriddenBy: variable, mayBeNull: mayBeNull) { value = found }
    }

    /// Reads an option that may be absent, written `null`.
    public func read<Value>(
        _ key: String, _ form: Form<Value>, overriddenBy variable: String? = nil, into value: inout Value?
    ) {
        if let found = self.value(key, form, overriddenBy: variable, mayBeNull: true) { value = found }
    }

    /// Reads an option that must be given. Nil where it is missing or wrong, which is then reported.
    public func require<Value>(_ key: String, _ form: Form<Value>) -> Value? {
        if member(key) == nil { reader.report(place, "\(path) has no \(key)", accepted: form.accepted) }
        return value(key, form, overriddenBy: nil, mayBeNull: false)
    }

    private func value<Value>(_ key: String, _ form: Form<Value>, overriddenBy variable: String?, mayBeNull: Bool) -> Value? {
        var value: Value?
        if let member = member(key), !(mayBeNull && member.value.isNull) {
            value = reader.value(of: member.value, named: name(key), form, orNull: mayBeNull)
        }
        if let variable, let text = reader.variable(variable) {
            value = reader.value(of: text, variable, form)
        }
        return value
    }

    // MARK: Lists

    /// Reads a list of at least one value, each given once. The variable that overrides it separates them with commas.
    ///
    /// - Parameter mayBeNull: whether `null` may be written for the built-in default.
    public func readList<Value: Hashable>(
        _ key: String, _ form: Form<Value>, overriddenBy variable: String? = nil, mayBeNull: Bool = false,
        into values: inout [Value]
    ) {
        if let member = member(key), !(mayBeNull && member.value.isNull) {
            if let found = list(member.value, named: name(key), form, mayBeNull) { values = found }
        }
        if let variable, let text = reader.variable(variable) {
            if let found = list(text, variable, form) { values = found }
        }
    }

    private func list<Value: Hashable>(_ element: Element, named name: String, _ form: Form<Value>, _ mayBeNull: Bool) -> [Value]? {
        guard case .list(let elements) = element.content, !elements.isEmpty else {
            let nothing = mayBeNull ? ", or null" : ""
            reader.report(element, "\(name) is \(reader.summary(element))", accepted: "a list, each of it \(form.accepted)\(nothing)")
            return nil
        }
        var values: [Value] = []
        for element in elements {
            guard let value = reader.value(of: element, named: "one of \(name)", form, orNull: false) else { continue }
            guard !values.contains(value) else {
                reader.report(element, "\(name) names \(reader.summary(element)) again", accepted: "each once")
                continue
            }
            values.append(value)
        }
        return values
    }

    private func list<Value: Hashable>(_ text: String, _ variable: String, _ form: Form<Value>) -> [Value]? {
        var values: [Value] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            var part = part
            while part.first == " " { part.removeFirst() }
            while part.last == " " { part.removeLast() }
            guard let value = reader.value(of: String(part), variable, form) else { continue }
            guard !values.contains(value) else {
                reader.report(.variable(variable), "\(form.show(String(part))) again", accepted: "each once")
                continue
            }
            values.append(value)
        }
        return values
    }

    // MARK: Maps

    /// The options below `key`, the same object each time. Where the key is missing, or null, all of them are absent.
    public func section(_ key: String) -> Section {
        if let known = sections.first(where: { $0.key == key }) { return known.section }
        let member = member(key, isSection: true)
        var members: [Element.Member] = []
        if let member, !member.value.isNull {
            if case .map(let found) = member.value.content {
                members = found
            } else {
                reader.report(member.value, "\(name(key)) is \(reader.summary(member.value))", accepted: "a map of options")
            }
        }
        let section = Section(
            members, path: name(key), place: .line(member?.line ?? 0), reader: reader, pattern: pattern.map { "\($0).\(key)" })
        sections.append((key, section))
        return section
    }

    /// The entries below `key`, whose keys are the operator's own choice, in the order of the file.
    ///
    /// - Parameter accepted: completes "accepted is …" where no map stands there.
    /// - Returns: nil where the option is not given or wrong.
    public func entries(_ key: String, accepted: String) -> [Entry]? {
        guard let member = member(key) else { return nil }
        guard case .map(let members) = member.value.content else {
            reader.report(member.value, "\(name(key)) is \(reader.summary(member.value))", accepted: accepted)
            return nil
        }
        return members.map { member in
            Entry(member, reader: reader, pattern: (pattern.map { $0 + "." } ?? pathPrefix) + key + ".*") { self.sections.append(("\(key).\(member.key)", $0)) }
        }
    }

    /// The elements of the list below `key`, which has one at least: each a value, or a map of options of its own.
    ///
    /// - Parameter accepted: completes "accepted is …" where no such list stands there.
    /// - Returns: nil where the option is not given or wrong.
    public func items(_ key: String, accepted: String) -> [Entry]? {
        guard let member = member(key) else { return nil }
        guard case .list(let elements) = member.value.content, !elements.isEmpty else {
            reader.report(member.value, "\(name(key)) is \(reader.summary(member.value))", accepted: accepted)
            return nil
        }
        return elements.map { element in
            let item = Element.Member(key: key, line: element.line, value: element)
            return Entry(item, name: "one of \(name(key))", reader: reader, pattern: (pattern.map { $0 + "." } ?? pathPrefix) + key + ".*") {
                self.sections.append((key, $0))
            }
        }
    }

    /// What stands below `key`, whatever it is; nil where it is not given.
    public func tree(_ key: String) -> Tree? { member(key).map { Tree($0.value) } }

    /// The members of a map below `key` whose keys are the operator's own choice. Nil where the option is not given, null or wrong.
    ///
    /// - Parameter accepted: completes "accepted is …" where no map stands there.
    public func members(_ key: String, accepted: String) -> [(key: String, value: Tree)]? {
        guard let member = member(key), !member.value.isNull else { return nil }
        guard case .map(let members) = Tree(member.value) else {
            reader.report(member.value, "\(name(key)) is \(reader.summary(member.value))", accepted: accepted)
            return nil
        }
        return members
    }

    /// The entries of a map whose keys are all the operator's own choice, in the order of the file.
    public var allEntries: [Entry] {
        members.map { member in
            if !known.contains(member.key) { known.append(member.key) }
            return Entry(member, reader: reader, pattern: (pattern.map { $0 + "." } ?? pathPrefix) + "*") { self.sections.append((member.key, $0)) }
        }
    }

    // MARK: Mistakes

    /// Reports a mistake that shows only when options are seen together, in the line of `key` or, without it, of the section.
    public func report(_ key: String, _ found: String, accepted: String?) {
        let line = members.first { $0.key == key }.map { Place.line($0.line) }
        reader.report(line ?? place, "\(name(key)) \(found)", accepted: accepted)
    }

    /// Reports a mistake of the section as a whole.
    public func report(_ found: String, accepted: String?) {
        reader.report(place, path.isEmpty ? found : "\(path) \(found)", accepted: accepted)
    }

    /// What `body` makes of options that were read. Nil where it throws, which is then reported as a mistake of `key` or, without
    /// it, of the section: the error says what was found and what is accepted.
    public func attempt<Value, Failure: Error & CustomStringConvertible>(
        _ key: String? = nil, _ body: () throws(Failure) -> Value
    ) -> Value? {
        do throws(Failure) {
            return try body()
        } catch {
            if let key { report(key, "can't be used: \(error)", accepted: nil) } else { report("can't be used: \(error)", accepted: nil) }
            return nil
        }
    }

    /// Whether the environment holds a variable that is not empty.
    public func hasVariable(_ name: String) -> Bool { reader.variable(name) != nil }

    /// Whether the option stands in the file and is not null.
    public func has(_ key: String) -> Bool { member(key).map { !$0.value.isNull } ?? false }

    func reportUnknownKeys() {
        for member in members where !known.contains(member.key) {
            let name = path.isEmpty ? "" : " in \(path)"
            reader.report(
                .line(member.line), "unknown key \(Scalar.quote(member.key))\(name)",
                accepted: "one of " + known.joined(separator: ", "))
        }
        for (_, section) in sections { section.reportUnknownKeys() }
    }

    private func name(_ key: String) -> String { pathPrefix + key }

    private var pathPrefix: String { path.isEmpty ? "" : path + "." }

    private func member(_ key: String, isSection: Bool = false) -> Element.Member? {
        let member = members.first { $0.key == key }
        if !known.contains(key) {
            known.append(key)
            guard !isSection else { return member }
            if let pattern {
                reader.note("\(pattern).\(key)", isGiven: member != nil)
            } else if member == nil {
                reader.note(absent: name(key))
            }
        }
        return member
    }
}
