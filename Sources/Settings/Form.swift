/// What a value may look like: how it is read, and the words for what is accepted.
public struct Form<Value> {
    /// Completes "accepted is …".
    public let accepted: String
    /// Nil where the scalar is none of the accepted.
    let read: (Scalar) -> Value?
    /// How messages show a text that was not accepted.
    let show: (String) -> String

    init(accepted: String, scalar read: @escaping (Scalar) -> Value?) {
        self.accepted = accepted
        self.read = read
        self.show = Scalar.quote
    }

    /// A form of your own.
    ///
    /// - Parameters:
    ///   - accepted: completes "accepted is …".
    ///   - concealing: takes out of a wrong text what no log may hold. By default the whole text is shown.
    ///   - read: returns nil for a text that is not accepted.
    public init(accepted: String, concealing: @escaping (String) -> String = { $0 }, read: @escaping (String) -> Value?) {
        self.accepted = accepted
        self.read = { read($0.text) }
        self.show = { Scalar.quote(concealing($0)) }
    }

    /// What `text`, a part of a value, is in this form; nil where it is not accepted.
    public func value(of text: String) -> Value? { read(Scalar(text: text, isPlain: true)) }
}

extension Form where Value: FixedWidthInteger {
    /// Decimal digits, perhaps after a minus sign; no quotes, no fraction, no exponent.
    public static func integer(_ range: ClosedRange<Value>) -> Form {
        Form(accepted: "a whole number from \(range.lowerBound) to \(range.upperBound)", scalar: { scalar in
            // The integer's own reading takes a plus sign, which the other programs of an operator don't.
            guard scalar.isPlain, !scalar.text.hasPrefix("+"), let number = Value(scalar.text) else { return nil }
            return range.contains(number) ? number : nil
        })
    }
}

extension Form where Value: CaseIterable & RawRepresentable<String> {
    /// One of the cases, by its raw value.
    public static var choice: Form {
        Form(accepted: Value.allCases.map(\.rawValue).joined(separator: " | ")) { Value(rawValue: $0) }
    }
}

extension Form where Value == Bool {
    public static var boolean: Form {
        Form(accepted: "true or false", scalar: { scalar in
            switch scalar.text {
            case "true" where scalar.isPlain: true
            case "false" where scalar.isPlain: false
            default: nil
            }
        })
    }
}

extension Form where Value == String {
    /// A text on one line, not empty.
    public static var line: Form {
        Form(accepted: "a text on one line, not empty") { isLine($0) ? $0 : nil }
    }

    /// Any text.
    public static var text: Form { Form(accepted: "a text") { $0 } }

    /// What an operator calls something: it stands in logs, metrics and keys.
    public static var name: Form {
        Form(accepted: "1 to 64 letters, digits, _, - and dots") { text in
            (1...64).contains(text.utf8.count) && text.utf8.allSatisfy(isNameByte) ? text : nil
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// A text, not empty, that messages don't repeat.
    public static var secret: Form {
        Form(accepted: "a text, not empty", concealing: { _ in "…" }) { $0.isEmpty ? nil : $0 }
    }

    /// A file's path from the root.
    public static var absolutePath: Form {
        Form(accepted: "an absolute path") { $0.hasPrefix("/") && isLine($0) ? $0 : nil }
    }

    /// A Unix socket's path, which has room for 107 bytes (unix(7)). A comma would end it in a variable that holds several.
    public static var socketPath: Form {
        Form(accepted: "an absolute path of at most 107 bytes without a comma") {
            $0.hasPrefix("/") && isLine($0) && $0.utf8.count <= 107 && !$0.contains(",") ? $0 : nil
        }
    }

    /// A URL without the user and password that it may have.
    public static func concealCredentials(_ url: String) -> String {
        guard let at = url.lastIndex(of: "@") else { return url }
        let scheme = url.firstRange(of: "://").map { url[..<$0.upperBound] } ?? ""
        return scheme + "…" + url[at...]
    }

    private static func isLine(_ text: String) -> Bool {
        !text.isEmpty && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }
}
