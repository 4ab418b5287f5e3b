/// A part of a YAML document with the line it begins in.
struct Element {
    enum Content {
        case scalar(Scalar)
        case list([Element])
        case map([Member])
    }

    struct Member {
        let key: String
        let line: Int
        let value: Element
    }

    let content: Content
    /// Counted from 1.
    let line: Int

    /// What YAML's core schema takes for null (YAML 1.2 §10.3.2), but for the capitalised spellings.
    var isNull: Bool {
        guard case .scalar(let scalar) = content else { return false }
        return scalar.isPlain && ["", "null", "~"].contains(scalar.text)
    }
}

/// A text in a document or in a variable.
struct Scalar {
    let text: String
    /// Whether it stands without quotes, and so may also be a number, `true` or `null`.
    let isPlain: Bool

    /// `text` in quotes, cut where it is long, and on one line whatever it holds.
    static func quote(_ text: String) -> String {
        let most = 100
        let shown = text.unicodeScalars.prefix(most).map { $0.escaped(asASCII: false) }.joined()
        return text.unicodeScalars.count > most ? "\"\(shown)…\"" : "\"\(shown)\""
    }
}
