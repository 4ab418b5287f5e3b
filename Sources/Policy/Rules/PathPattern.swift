/// Which paths a rule is for.
///
/// | written | matches |
/// | --- | --- |
/// | `/a` | that path only: neither `/a/` nor `/A` |
/// | `/a/` | that path only |
/// | `/a/{id}` | `/a/` and one segment that is not empty, whose text templates know as `${path.id}` |
/// | `/a/*` | `/a/` and one segment, or none behind the slash |
/// | `/a/**` | `/a`, `/a/` and everything below, but not `/ab` |
/// | `/**` | every path, but not the `*` of `OPTIONS *` |
///
/// Paths are compared in their normal form, escapes by what they stand for.
public struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    enum Segment: Sendable, Hashable {
        /// With its escapes undone.
        case literal([UInt8])
        case capture(String)
        case any
    }

    /// As it was written.
    public let description: String
    let segments: [Segment]
    /// Whether it ends with `**`.
    let isOpen: Bool

    /// - Throws: where the text is no pattern, or one that no path in normal form could match.
    public init(_ text: String) throws(RuleMistake) {
        func refusal(_ message: String) -> RuleMistake { RuleMistake("the path pattern \(quoted(text)) \(message)") }
        guard text.utf8.count <= RuleLimits.pathPatternBytes else {
            throw RuleMistake("a path pattern has \(text.utf8.count) bytes, more than \(RuleLimits.pathPatternBytes)")
        }
        guard text.utf8.first == UInt8(ascii: "/") else {
            throw refusal("doesn't begin with a slash, as in /api/**")
        }
        let parts = Array(text.utf8.dropFirst()).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var segments: [Segment] = []
        var isOpen = false
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.elementsEqual("**".utf8) {
                guard isLast else { throw refusal("has ** before its end, where it may not stand") }
                isOpen = true
            } else {
                do throws(RuleMistake) {
                    segments.append(try Self.segment(Array(part), isLast: isLast))
                } catch {
                    throw refusal(error.description)
                }
            }
        }
        guard segments.count <= RuleLimits.pathSegments else {
            throw refusal("has \(segments.count) segments, more than \(RuleLimits.pathSegments)")
        }
        let names = segments.compactMap { if case .capture(let name) = $0 { name } else { nil } }
        if let repeated = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw refusal("has {\(repeated)} twice")
        }
        description = text
        self.segments = segments
        self.isOpen = isOpen
    }

    /// The names of the pattern's captures, from left to right.
    public var captureNames: [String] { segments.compactMap { if case .capture(let name) = $0 { name } else { nil } } }

    /// Which segment of a path a capture takes, counted from 0; nil where there is no such capture.
    func segmentIndex(ofCapture name: String) -> Int? { segments.firstIndex(of: .capture(name)) }

    /// Where the segment `index` of `path` lies.
    static func segment(_ index: Int, of path: Span<UInt8>) -> Range<Int>? {
        guard var walk = PathSegments(path) else { return nil }
        for _ in 0...index where !walk.advance(in: path) { return nil }
        return walk.range
    }

    /// - Parameter path: without the query.
    public func matches(_ path: Span<UInt8>) -> Bool {
        guard var walk = PathSegments(path) else { return false }
        for segment in segments {
            guard walk.advance(in: path), segment.matches(walk.range, of: path) else { return false }
        }
        return isOpen || !walk.advance(in: path)
    }

    // MARK: Reading

    private static func segment(_ part: [UInt8], isLast: Bool) throws(RuleMistake) -> Segment {
        if part.elementsEqual("*".utf8) { return .any }
        if part.contains(UInt8(ascii: "*")) {
            throw RuleMistake("has a * within a segment, of which it can only be the whole")
        }
        guard part.contains(UInt8(ascii: "{")) || part.contains(UInt8(ascii: "}")) else {
            return .literal(try literal(part, isLast: isLast))
        }
        let name = part.dropFirst().dropLast()
        guard part.first == UInt8(ascii: "{"), part.last == UInt8(ascii: "}"), !name.isEmpty, name.allSatisfy(Characters.isPlain) else {
            throw RuleMistake("has a segment with braces that isn't {name}, the name of letters, digits, _ and -")
        }
        return .capture(String(decoding: name, as: UTF8.self))
    }

    private static func literal(_ part: [UInt8], isLast: Bool) throws(RuleMistake) -> [UInt8] {
        guard isLast || !part.isEmpty else { throw RuleMistake("has an empty segment (//), which no path has") }
        var literal: [UInt8] = []
        var index = 0
        while index < part.count {
            switch part[index] {
            case UInt8(ascii: "?"), UInt8(ascii: "#"): throw RuleMistake("has a ? or #: rules look at the path, without its query")
            case UInt8(ascii: "\\"): throw RuleMistake("has a backslash, which no path has")
            case ...0x20, 0x7f...: throw RuleMistake("has a character that paths have escaped only, as in %20")
            default: break
            }
            let (byte, length) = EscapedByte.at(index, in: part.span, end: part.count)
            guard length == 3 || byte != UInt8(ascii: "%") else { throw RuleMistake("has a broken % escape") }
            guard length == 1 || byte >= 0x20 && byte != 0x7f && byte != UInt8(ascii: "\\") else {
                throw RuleMistake("has an escaped control character or backslash, which no path has")
            }
            literal.append(byte)
            index += length
        }
        guard literal != Array(".".utf8), literal != Array("..".utf8) else { throw RuleMistake("has a dot segment, which no path has") }
        return literal
    }
}

extension PathPattern.Segment {
    func matches(_ range: Range<Int>, of path: Span<UInt8>) -> Bool {
        switch self {
        case .literal(let literal): EscapedByte.equals(range, of: path, literal.span)
        case .capture: !range.isEmpty
        case .any: true
        }
    }

    /// How narrow it is, without a look at what stands in it.
    var rank: Int {
        switch self {
        case .literal: 3
        case .capture: 2
        case .any: 1
        }
    }
}
