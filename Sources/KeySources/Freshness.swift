/// How long an answer may be used, as its Cache-Control and Age fields say (RFC 9111 §4.2, §5.1, §5.2.2).
enum Freshness: Equatable, Sendable {
    /// The answer says nothing about it.
    case unstated
    /// `no-store`, `no-cache`, or a `max-age` that is none: as short as may be.
    case none
    /// Seconds that are left.
    case seconds(Int)

    /// - Parameters:
    ///   - cacheControl: the values of all Cache-Control fields, joined by commas; nil where there is none.
    ///   - age: the value of the Age field.
    init(cacheControl: String?, age: String?) {
        guard let cacheControl else {
            self = .unstated
            return
        }
        var shortest: Int?
        for (name, argument) in Self.directives(cacheControl) {
            switch name {
            case "no-store", "no-cache":
                self = .none
                return
            case "max-age":
                guard let seconds = Self.deltaSeconds(argument) else {
                    self = .none
                    return
                }
                shortest = min(shortest ?? .max, seconds)
            default: continue
            }
        }
        guard let shortest else {
            self = .unstated
            return
        }
        self = .seconds(max(0, shortest - (age.flatMap(Self.deltaSeconds) ?? 0)))
    }

    /// Non-negative seconds (RFC 9111 §1.2.2); what is too large to hold counts as 2³¹.
    private static func deltaSeconds(_ text: String) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return min(Int(text) ?? .max, 1 << 31)
    }

    /// The directives in order, names in lower case, arguments without their quotes. A comma within quotes separates nothing.
    private static func directives(_ text: String) -> [(name: String, argument: String)] {
        var directives: [(name: String, argument: String)] = []
        var isQuoted = false
        for part in text.split(whereSeparator: { character in
            if character == "\"" { isQuoted.toggle() }
            return character == "," && !isQuoted
        }) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let argument = sides.count == 2 ? String(sides[1]).withoutSurroundingBlanks : ""
            let isInQuotes = argument.count >= 2 && argument.hasPrefix("\"") && argument.hasSuffix("\"")
            directives.append((
                String(sides[0]).withoutSurroundingBlanks.lowercased(),
                isInQuotes ? String(argument.dropFirst().dropLast()) : argument
            ))
        }
        return directives
    }
}

extension String {
    /// Without the spaces and tabs around it, as field values and their parts are read (RFC 9110 §5.5).
    var withoutSurroundingBlanks: String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let front = drop(while: isBlank)
        guard let last = front.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(front[...last])
    }
}
