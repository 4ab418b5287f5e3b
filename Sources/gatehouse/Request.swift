import ArgumentParser

/// The request to ask about.
struct Request: Sendable {
    var method: String
    var host: String
    var path: String
    var headers: [Header]
}

/// A header as it is given: `Name: value`.
struct Header: ExpressibleByArgument, Equatable, Sendable {
    /// In lower case.
    let name: String
    let value: String

    init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":"), colon != argument.startIndex else { return nil }
        name = argument[..<colon].lowercased()
        let blanks: Set<Character> = [" ", "\t"]
        let value = argument[argument.index(after: colon)...].drop(while: blanks.contains)
        self.value = String(value.reversed().drop(while: blanks.contains).reversed())
    }
}
