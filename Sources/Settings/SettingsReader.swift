/// Reads a configuration: a YAML file, and the environment, which overrides it. Collects every mistake on the way.
///
/// A program reads its options through ``root``, one call each, and calls ``finish()`` at the end to hear whether all was well.
public final class SettingsReader {
    /// The options that have been asked for and don't stand in the file, dotted: `limit.count`. Those below a key of the
    /// operator's own are not among them.
    public private(set) var absentOptions: [String] = []

    /// The options below keys of the operator's own that have been asked for and stand in none of the entries, with a star for
    /// such a key: `limits.*.count`. In the order of the alphabet.
    public var absentEntryOptions: [String] { entryOptions.filter { !$0.value }.keys.sorted() }

    /// Whether such an option stands in one of the entries at least.
    private var entryOptions: [String: Bool] = [:]

    /// The process's own, as it was given.
    public let environment: [String: String]

    private let file: String
    private let document: Element
    private var mistakes: [(line: Int, mistake: Mistake)] = []

    /// - Parameters:
    ///   - text: what the file holds; nil where there is none.
    ///   - file: what messages call it.
    ///   - environment: the process's own; an argument so that tests need not change it.
    public init(text: String?, file: String, environment: [String: String]) {
        self.file = file
        self.environment = environment
        let (root, flaws) = Document.read(text ?? "")
        document = root
        for flaw in flaws { report(.line(flaw.line), flaw.found, accepted: flaw.accepted) }
    }

    /// The outermost map of the file; empty where there is no file.
    public private(set) lazy var root = {
        guard case .map(let members) = document.content else { preconditionFailure("a document's root is a map") }
        return Section(members, path: "", place: .line(1), reader: self, pattern: nil)
    }()

    /// The value of an environment variable; nil where it is unset or empty.
    public func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Reports a mistake that no line of the file and no reading of a variable shows.
    public func report(variable: String, _ found: String, accepted: String?) {
        report(.variable(variable), found, accepted: accepted)
    }

    /// Reports what nobody asked for.
    ///
    /// - Throws: what has been reported, if anything.
    public func finish() throws(InvalidConfiguration) {
        root.reportUnknownKeys()
        guard mistakes.isEmpty else {
            throw InvalidConfiguration(mistakes: mistakes.sorted { $0.line < $1.line }.map(\.mistake))
        }
    }

    // MARK: For sections and entries

    func note(absent option: String) { absentOptions.append(option) }

    func name(ofLine line: Int) -> String { "\(file):\(line)" }

    func note(_ entryOption: String, isGiven: Bool) {
        entryOptions[entryOption] = entryOptions[entryOption] == true || isGiven
    }

    func report(_ place: Place, _ found: String, accepted: String?) {
        switch place {
        case .line(let line): mistakes.append((line, Mistake(place: name(ofLine: line), found: found, accepted: accepted)))
        case .variable(let name): mistakes.append((.max, Mistake(place: name, found: found, accepted: accepted)))
        }
    }

    func report(_ element: Element, _ found: String, accepted: String?) {
        report(.line(element.line), found, accepted: accepted)
    }

    func value<Value>(of element: Element, named name: String, _ form: Form<Value>, orNull: Bool) -> Value? {
        if case .scalar(let scalar) = element.content, !element.isNull, let value = form.read(scalar) { return value }
        report(element, "\(name) is \(summary(element, form.show))", accepted: form.accepted + (orNull ? ", or null" : ""))
        return nil
    }

    func value<Value>(of text: String, _ variable: String, _ form: Form<Value>) -> Value? {
        if let value = form.read(Scalar(text: text, isPlain: true)) { return value }
        report(.variable(variable), form.show(text), accepted: form.accepted)
        return nil
    }

    /// What stands there, for a message.
    func summary(_ element: Element, _ show: (String) -> String = Scalar.quote) -> String {
        switch element.content {
        case _ where element.isNull: "nothing"
        case .scalar(let scalar): show(scalar.text)
        case .list(let elements): elements.isEmpty ? "an empty list" : "a list"
        case .map: "a map"
        }
    }
}

/// Where something was found.
enum Place {
    /// In the file, counted from 1.
    case line(Int)
    /// In the environment.
    case variable(String)
}
