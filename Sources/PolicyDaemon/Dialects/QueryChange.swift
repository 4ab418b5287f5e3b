import Bytes

/// How one query becomes another, in the only words that Envoy has for it: parameters to set, and names to take out altogether.
struct QueryChange: Equatable {
    private(set) var removed: [Range<Int>] = []
    /// Ranges of the new query.
    private(set) var replaced: [Parameter] = []

    struct Parameter: Equatable {
        let name: Range<Int>
        let value: Range<Int>
    }

    /// Leaves the query as it is.
    static let none = QueryChange()

    private init() {}

    /// - Returns: nil where these words can't say it.
    init?(from old: Span<UInt8>, to new: Span<UInt8>) {
        let (before, after) = (Self.parameters(of: old), Self.parameters(of: new))
        for parameter in before {
            let name = old.extracting(parameter.name)
            let (was, isNow) = (Self.values(of: name, before, old), Self.values(of: name, after, new))
            if isNow.isEmpty {
                if !removed.contains(where: { old.extracting($0).equals(name) }) { removed.append(parameter.name) }
            } else if !Self.areEqual(was, old, isNow, new) {
                guard isNow.count == 1 else { return nil }
                if !replaced.contains(where: { new.extracting($0.name).equals(name) }) { replaced.append(isNow[0]) }
            }
        }
        for parameter in after {
            let name = new.extracting(parameter.name)
            guard Self.values(of: name, before, old).isEmpty else { continue }
            guard Self.values(of: name, after, new).count == 1 else { return nil }
            replaced.append(parameter)
        }
    }

    private static func parameters(of query: Span<UInt8>) -> [Parameter] {
        var parameters: [Parameter] = []
        var start = 0
        while start < query.count {
            var (equals, end) = (Int?.none, start)
            while end < query.count, query[end] != UInt8(ascii: "&") {
                if equals == nil, query[end] == UInt8(ascii: "=") { equals = end }
                end &+= 1
            }
            if end > start {
                let nameEnd = equals ?? end
                parameters.append(Parameter(name: start..<nameEnd, value: min(nameEnd + 1, end)..<end))
            }
            start = end &+ 1
        }
        return parameters
    }

    private static func values(of name: Span<UInt8>, _ parameters: [Parameter], _ query: Span<UInt8>) -> [Parameter] {
        parameters.filter { query.extracting($0.name).equals(name) }
    }

    private static func areEqual(_ left: [Parameter], _ old: Span<UInt8>, _ right: [Parameter], _ new: Span<UInt8>) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { old.extracting($0.value).equals(new.extracting($1.value)) }
    }
}
