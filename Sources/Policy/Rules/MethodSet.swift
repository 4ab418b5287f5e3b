import Bytes

/// Which methods a rule is for. HEAD asks for what GET would answer (RFC 9110 §9.3.2), so a set with GET has HEAD as well.
public struct MethodSet: Sendable, Hashable, CustomStringConvertible {
    /// In the order of their bytes.
    let names: [[UInt8]]

    /// - Parameter names: at least one; told apart by case.
    public init(_ names: [String]) throws(RuleMistake) {
        guard !names.isEmpty else { throw RuleMistake("the list of methods is empty; leave it out for any method") }
        for name in names {
            guard !name.isEmpty, name.utf8.count <= RuleLimits.methodBytes, name.utf8.allSatisfy(Characters.isToken) else {
                throw RuleMistake("\(quoted(name)) is no method, which is a token of 1 to \(RuleLimits.methodBytes) bytes, as in GET")
            }
            // No registered method has lower case, and what is written so by mistake would never match.
            guard !name.utf8.contains(where: Characters.isLower) else {
                throw RuleMistake("the method \(quoted(name)) has lower-case letters; methods are upper case, as in GET")
            }
        }
        var unique = Set(names.map { Array($0.utf8) })
        if unique.contains(Array("GET".utf8)) { unique.insert(Array("HEAD".utf8)) }
        self.names = unique.sorted { $0.lexicographicallyPrecedes($1) }
    }

    public var description: String { names.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ") }

    public func contains(_ method: Span<UInt8>) -> Bool {
        for name in names where name.span.equals(method) { return true }
        return false
    }

    func intersection(_ other: MethodSet) -> [[UInt8]] { names.filter(other.names.contains) }
}
