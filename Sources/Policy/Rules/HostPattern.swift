import Bytes

/// Which hosts a rule is for: `api.example.com`, or `*.example.com` for everything below that name but not itself. Case, the
/// port and a final dot don't matter.
public struct HostPattern: Sendable, Hashable, CustomStringConvertible {
    /// In lower case; of a wildcard what stands behind the star, its dot included.
    let name: [UInt8]
    let isWildcard: Bool

    public init(_ text: String) throws(RuleMistake) {
        func refusal(_ message: String) -> RuleMistake { RuleMistake("the host \(quoted(text)) \(message)") }
        guard text.utf8.count <= RuleLimits.hostBytes else {
            throw RuleMistake("a host has \(text.utf8.count) bytes, more than \(RuleLimits.hostBytes)")
        }
        let bytes = text.utf8.map(\.lowercasedASCII)
        let isWildcard = bytes.starts(with: "*.".utf8)
        let name = isWildcard ? Array(bytes.dropFirst()) : bytes
        guard !name.contains(UInt8(ascii: "*")) else {
            throw refusal("has a * elsewhere than as its first label, as in *.example.com")
        }
        if name.first == UInt8(ascii: "[") {
            let inside = name.dropFirst().dropLast()
            guard name.last == UInt8(ascii: "]"), IPAddress(Array(inside).span) != nil else {
                throw refusal("is no IPv6 address in brackets, and no name without a port, as in [::1] or api.example.com")
            }
        } else {
            guard name.allSatisfy({ Characters.isPlain($0) || $0 == UInt8(ascii: ".") }) else {
                throw refusal("has other characters than letters, digits, - and dots (rules ignore the port): accepted are api.example.com and *.example.com")
            }
            let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).dropFirst(isWildcard ? 1 : 0)
            guard labels.allSatisfy({ !$0.isEmpty }) else {
                throw refusal("has an empty label: accepted are names such as api.example.com and *.example.com")
            }
        }
        self.name = name
        self.isWildcard = isWildcard
    }

    public var description: String { (isWildcard ? "*" : "") + String(decoding: name, as: UTF8.self) }

    /// - Parameter authority: host and perhaps port, as received.
    public func matches(_ authority: Span<UInt8>) -> Bool {
        let host = Self.host(of: authority)
        return isWildcard ? Self.isBelow(name.span, host, of: authority) : Self.isName(name.span, host, of: authority)
    }

    /// Where the host lies in `authority`: without port and final dot.
    static func host(of authority: Span<UInt8>) -> Range<Int> {
        var end = 0
        if authority.count > 0, authority[0] == UInt8(ascii: "[") {
            while end < authority.count, authority[end] != UInt8(ascii: "]") { end &+= 1 }
            return 0..<min(end &+ 1, authority.count)
        }
        while end < authority.count, authority[end] != UInt8(ascii: ":") { end &+= 1 }
        if end > 1, authority[end &- 1] == UInt8(ascii: ".") { end &-= 1 }
        return 0..<end
    }

    /// Whether the host at `range` of `authority` is `name`, which is in lower case.
    static func isName(_ name: Span<UInt8>, _ range: Range<Int>, of authority: Span<UInt8>) -> Bool {
        range.count == name.count && hasName(name, at: range.lowerBound, authority)
    }

    /// Whether the host at `range` of `authority` ends with `name`, which begins with a dot, and has a label before it.
    static func isBelow(_ name: Span<UInt8>, _ range: Range<Int>, of authority: Span<UInt8>) -> Bool {
        let start = range.upperBound - name.count
        return start > 0 && authority[start &- 1] != UInt8(ascii: ".") && hasName(name, at: start, authority)
    }

    private static func hasName(_ name: Span<UInt8>, at start: Int, _ authority: Span<UInt8>) -> Bool {
        for index in name.indices where authority[start &+ index].lowercasedASCII != name[index] { return false }
        return true
    }

    /// Whether every host that `other` matches is matched by this.
    func covers(_ other: HostPattern) -> Bool {
        guard isWildcard else { return !other.isWildcard && name == other.name }
        if other.isWildcard { return other.name.count >= name.count && other.name.suffix(name.count).elementsEqual(name) }
        return Self.isBelow(name.span, other.name.indices, of: other.name.span)
    }
}
