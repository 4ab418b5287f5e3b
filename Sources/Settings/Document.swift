import Yams

/// Turns the text of a YAML file into elements. The one place that knows Yams.
struct Document {
    struct Flaw {
        let line: Int
        let found: String
        let accepted: String?
    }

    private var flaws: [Flaw] = []
    private var renamed = RenamedKeys()
    private var elementCount = 0

    /// Elements that a document may have. Aliases make a short text mean a very large one.
    private static let maximumElements = 10_000

    /// Reads the one document of `text`, whose root is a map.
    ///
    /// - Returns: the root without what was wrong, and that.
    static func read(_ text: String) -> (root: Element, flaws: [Flaw]) {
        var document = Document()
        let root = document.root(text)
        return (root, document.flaws)
    }

    private mutating func report(_ line: Int, _ found: String, accepted: String? = nil) {
        flaws.append(Flaw(line: line, found: found, accepted: accepted))
    }

    private mutating func root(_ text: String) -> Element {
        let empty = Element(content: .map([]), line: 1)
        guard let node = compose(text) else { return empty }
        let element = element(node)
        guard elementCount <= Self.maximumElements else {
            flaws = []
            report(1, "more than \(Self.maximumElements) elements", accepted: "a document with fewer")
            return empty
        }
        if element.isNull { return empty }
        guard case .map = element.content else {
            report(element.line, "a document that is no map", accepted: "a map of options")
            return empty
        }
        return element
    }

    /// Yams gives up at the first key that stands twice in its map; so that one is renamed, and the text read again.
    private mutating func compose(_ text: String) -> Node? {
        var text = text
        while true {
            do {
                return try Parser(yaml: text, encoding: .utf8).singleRoot()
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                if let changed = renamed.rename(in: text, line: context.mark.line, column: context.mark.column) {
                    text = changed
                } else {
                    report(context.mark.line, "the key \(Scalar.quote(keys[0])) stands more than once", accepted: "each key once")
                    return nil
                }
            } catch let error as YamlError {
                report(syntax: error)
                return nil
            } catch {
                report(1, "not YAML: \(error)")
                return nil
            }
        }
    }

    private mutating func report(syntax error: YamlError) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            report(mark.line, "not YAML: \(problem)")
        case .reader(let problem, let offset, _, let text):
            let line = 1 + text.prefix(offset ?? 0).count(where: \.isNewline)
            report(line, "not YAML: \(problem)")
        default:
            report(1, "not YAML: \(error)")
        }
    }

    private mutating func element(_ node: Node) -> Element {
        let line = node.mark?.line ?? 1
        elementCount += 1
        guard elementCount <= Self.maximumElements else { return Element(content: .list([]), line: line) }
        switch node {
        case .scalar(let scalar):
            return Element(content: .scalar(Scalar(text: scalar.string, isPlain: scalar.style == .plain)), line: line)
        case .sequence(let sequence):
            return Element(content: .list(sequence.map { element($0) }), line: line)
        case .mapping(let mapping):
            return Element(content: .map(members(mapping)), line: line)
        case .alias:
            return Element(content: .scalar(Scalar(text: "", isPlain: true)), line: line)
        }
    }

    private mutating func members(_ mapping: Node.Mapping) -> [Element.Member] {
        var members: [Element.Member] = []
        var lines: [String: Int] = [:]
        for (key, value) in mapping {
            let line = key.mark?.line ?? 1
            guard let scalar = key.scalar else {
                report(line, "a list or map as a key", accepted: "a text")
                continue
            }
            let name = renamed.original(of: scalar.string)
            let value = element(value)
            if let first = lines[name] {
                report(line, "the key \(Scalar.quote(name)) again, as in line \(first)", accepted: "each key once")
            } else {
                lines[name] = line
                members.append(Element.Member(key: name, line: line, value: value))
            }
        }
        return members
    }
}

/// Keys that stand more than once, told apart by a first letter out of Unicode's private use area.
private struct RenamedKeys {
    private var originals: [Unicode.Scalar: Unicode.Scalar] = [:]

    /// Letters that YAML allows and that nobody writes.
    private static let letters: ClosedRange<UInt32> = 0xE000...0xF8FF

    /// Renames the key at this place, both counted from 1, the column in Unicode scalars.
    ///
    /// - Returns: nil where there is no letter to change.
    mutating func rename(in text: String, line: Int, column: Int) -> String? {
        let letters = Self.letters.lowerBound + UInt32(originals.count)
        guard Self.letters.contains(letters), let letter = Unicode.Scalar(letters) else { return nil }
        var scalars = text.unicodeScalars
        var place = scalars.startIndex
        for _ in 1..<line {
            guard let end = scalars[place...].firstIndex(of: "\n") else { return nil }
            place = scalars.index(after: end)
        }
        guard var index = scalars.index(place, offsetBy: column - 1, limitedBy: scalars.endIndex), index < scalars.endIndex
        else { return nil }
        if scalars[index] == "\"" || scalars[index] == "'" { index = scalars.index(after: index) }
        guard index < scalars.endIndex, scalars[index].properties.isAlphabetic || scalars[index] == "/" else { return nil }
        originals[letter] = scalars[index]
        scalars.replaceSubrange(index...index, with: [letter])
        return String(scalars)
    }

    func original(of key: String) -> String {
        guard let first = key.unicodeScalars.first, let original = originals[first] else { return key }
        var scalars = key.unicodeScalars
        scalars.replaceSubrange(scalars.startIndex...scalars.startIndex, with: [original])
        return String(scalars)
    }
}
