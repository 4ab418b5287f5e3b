/// One entry of a map whose keys the operator chose, or of a list: a value, or a map of options of its own.
public struct Entry {
    /// The operator's own key; in a list, the list's.
    public let key: String
    /// What messages call it.
    private let name: String
    private let member: Element.Member
    private let reader: SettingsReader
    /// Where it stands, with a star for each key that is the operator's own.
    private let pattern: String
    private let adopt: (Section) -> Void

    init(_ member: Element.Member, name: String? = nil, reader: SettingsReader, pattern: String, adopt: @escaping (Section) -> Void) {
        key = member.key
        self.name = name ?? Scalar.quote(member.key)
        self.member = member
        self.reader = reader
        self.pattern = pattern
        self.adopt = adopt
    }

    /// Where it stands: `cases.yaml:3`.
    public var place: String { reader.name(ofLine: member.line) }

    /// The options of the entry; nil where it is none but a value.
    public var section: Section? {
        guard case .map(let members) = member.value.content else { return nil }
        let section = Section(members, path: name, place: .line(member.line), reader: reader, pattern: pattern)
        adopt(section)
        return section
    }

    /// The options of an entry that has to be a map of them. Nil where it is none, which is then reported.
    ///
    /// - Parameter accepted: completes "accepted is …".
    public func options(accepted: String) -> Section? {
        if let section { return section }
        reader.report(member.value, "\(name) is \(reader.summary(member.value))", accepted: accepted)
        return nil
    }

    /// The value of an entry that is no map of options. Nil where it is wrong, which is then reported.
    public func value<Value>(_ form: Form<Value>) -> Value? {
        reader.value(of: member.value, named: name, form, orNull: false)
    }

    /// The key in another form. Nil where it is wrong, which is then reported.
    public func key<Value>(as form: Form<Value>) -> Value? {
        guard let value = form.read(Scalar(text: key, isPlain: true)) else {
            reader.report(.line(member.line), "the key \(Scalar.quote(key))", accepted: form.accepted)
            return nil
        }
        return value
    }
}
