import Bytes

/// Finds the most specific rule for a request. Immutable, and shared by all workers.
///
/// A tree of path segments for each host, laid out in arrays of plain values: nothing is retained, and so nothing written that
/// workers share. A lookup allocates nothing, visits no node twice, and so looks at no more nodes than there are segments in
/// the patterns of the request's hosts, however a path is made.
final class RuleIndex: Sendable {
    /// One place in a tree: what a path may go on with, and the rules whose patterns end here.
    struct Node {
        var literals = 0..<0
        var capture: Int?
        var any: Int?
        var exact = 0..<0
        var open = 0..<0
    }

    /// The way from a node by a segment of text.
    struct Edge {
        let hash: UInt64
        /// Where it stands in the index's text.
        let literal: Range<Int>
        let node: Int
    }

    /// A rule at the end of its pattern.
    struct Entry {
        /// A bit for each method; nil for any.
        let methods: UInt32?
        let rule: Int
    }

    /// The rules of one host.
    struct Tree {
        /// Where the host's name stands in the index's text; empty for any host.
        let host: Range<Int>
        let hash: UInt64
        let root: Int
        /// Those without a path.
        let pathless: Range<Int>
    }

    private let nodes: [Node]
    /// A node's are together, in the order of their hashes.
    private let edges: [Edge]
    private let entries: [Entry]
    private let methods: [Range<Int>]
    private let text: [UInt8]
    /// In the order of their hashes.
    private let exactHosts: [Tree]
    /// The longest first.
    private let wildcardHosts: [Tree]
    private let anyHost: Tree?

    /// - Parameter rules: a name for messages, and what the rule matches. ``rule(authority:method:path:)`` tells a rule by its
    ///   place in this list.
    /// - Throws: where two rules are equally specific and both match a request, or there are more than ``RuleLimits`` allows.
    init(_ rules: [(name: String, matcher: RequestMatcher)]) throws(RuleMistake) {
        guard rules.count <= RuleLimits.rules else {
            throw RuleMistake("there are \(rules.count) rules, more than \(RuleLimits.rules)")
        }
        try RuleOverlap.refuseConflicts(rules)
        let methods = Array(Set(rules.flatMap { $0.matcher.methods?.names ?? [] }))
        guard methods.count <= RuleLimits.methods else {
            throw RuleMistake("the rules name \(methods.count) different methods, more than \(RuleLimits.methods)")
        }
        var builder = RuleIndexBuilder(methods: methods)
        let matchers = rules.map(\.matcher)
        let trees = Dictionary(grouping: matchers.indices, by: { matchers[$0].host }).map { host, rules in
            (host: host, tree: builder.tree(of: host, rules: rules.map { ($0, matchers[$0]) }))
        }
        self.methods = methods.map { builder.append(text: $0) }
        text = builder.text
        nodes = builder.nodes
        edges = builder.edges
        entries = builder.entries
        exactHosts = trees.filter { $0.host?.isWildcard == false }.map(\.tree).sorted { $0.hash < $1.hash }
        wildcardHosts = trees.filter { $0.host?.isWildcard == true }.map(\.tree).sorted { $0.host.count > $1.host.count }
        anyHost = trees.first { $0.host == nil }?.tree
    }

    /// The rule a request belongs to.
    ///
    /// - Parameters:
    ///   - authority: host and perhaps port.
    ///   - path: in its normal form, without the query; or `*`.
    /// - Returns: its place in the list that the index was made of; nil where no rule matches.
    func rule(authority: Span<UInt8>, method: Span<UInt8>, path: Span<UInt8>) -> Int? {
        let method = bit(of: method)
        if !exactHosts.isEmpty || !wildcardHosts.isEmpty {
            let text = self.text
            let host = HostPattern.host(of: authority)
            if let tree = exactTree(host, authority), let rule = find(in: tree, method, path) { return rule }
            for tree in wildcardHosts where HostPattern.isBelow(text.span.extracting(tree.host), host, of: authority) {
                if let rule = find(in: tree, method, path) { return rule }
            }
        }
        guard let anyHost else { return nil }
        return find(in: anyHost, method, path)
    }

    /// 0 for a method that no rule names.
    private func bit(of method: Span<UInt8>) -> UInt32 {
        let text = self.text
        for index in methods.indices where text.span.extracting(methods[index]).equals(method) { return 1 << UInt32(index) }
        return 0
    }

    private func exactTree(_ host: Range<Int>, _ authority: Span<UInt8>) -> Tree? {
        let text = self.text
        var hash = ByteHash()
        for index in host { hash.add(authority[index].lowercasedASCII) }
        var index = lowerBound(of: hash.value, in: exactHosts.indices) { exactHosts[$0].hash }
        while index < exactHosts.count, exactHosts[index].hash == hash.value {
            if HostPattern.isName(text.span.extracting(exactHosts[index].host), host, of: authority) { return exactHosts[index] }
            index &+= 1
        }
        return nil
    }

    private func find(in tree: Tree, _ method: UInt32, _ path: Span<UInt8>) -> Int? {
        if let walk = PathSegments(path), let rule = find(below: tree.root, walk, method, path) { return rule }
        return entry(in: tree.pathless, method)
    }

    /// The narrowest way first, so that the first rule found is the most specific.
    private func find(below index: Int, _ walk: PathSegments, _ method: UInt32, _ path: Span<UInt8>) -> Int? {
        let node = nodes[index]
        var walk = walk
        if walk.advance(in: path) {
            let segment = walk.range
            if let next = edge(from: node, segment, path), let rule = find(below: next, walk, method, path) { return rule }
            if let next = node.capture, !segment.isEmpty, let rule = find(below: next, walk, method, path) { return rule }
            if let next = node.any, let rule = find(below: next, walk, method, path) { return rule }
        } else if let rule = entry(in: node.exact, method) {
            return rule
        }
        return entry(in: node.open, method)
    }

    private func edge(from node: Node, _ segment: Range<Int>, _ path: Span<UInt8>) -> Int? {
        guard !node.literals.isEmpty else { return nil }
        let text = self.text
        let hash = EscapedByte.hash(segment, of: path)
        var index = lowerBound(of: hash, in: node.literals) { edges[$0].hash }
        while index < node.literals.upperBound, edges[index].hash == hash {
            if EscapedByte.equals(segment, of: path, text.span.extracting(edges[index].literal)) { return edges[index].node }
            index &+= 1
        }
        return nil
    }

    private func entry(in range: Range<Int>, _ method: UInt32) -> Int? {
        for index in range {
            guard let methods = entries[index].methods, methods & method == 0 else { return entries[index].rule }
        }
        return nil
    }

    /// The first place of `range` whose hash is not below `hash`.
    private func lowerBound(of hash: UInt64, in range: Range<Int>, _ hashAt: (Int) -> UInt64) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low &+ high) / 2
            if hashAt(middle) < hash { low = middle &+ 1 } else { high = middle }
        }
        return low
    }
}
