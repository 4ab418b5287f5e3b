/// Lays the trees of a ``RuleIndex`` out in arrays.
struct RuleIndexBuilder {
    private(set) var nodes: [RuleIndex.Node] = []
    private(set) var edges: [RuleIndex.Edge] = []
    private(set) var entries: [RuleIndex.Entry] = []
    private(set) var text: [UInt8] = []
    private let methods: [[UInt8]]

    init(methods: [[UInt8]]) { self.methods = methods }

    mutating func append(text: [UInt8]) -> Range<Int> {
        self.text += text
        return self.text.count - text.count..<self.text.count
    }

    private typealias Rule = (index: Int, methods: MethodSet?, path: PathPattern)

    mutating func tree(of host: HostPattern?, rules: [(index: Int, matcher: RequestMatcher)]) -> RuleIndex.Tree {
        let name = host?.name ?? []
        let pathless = rules.filter { $0.matcher.path == nil }.map { (index: $0.index, methods: $0.matcher.methods) }
        let pathful = rules.compactMap { rule in
            rule.matcher.path.map { (index: rule.index, methods: rule.matcher.methods, path: $0) }
        }
        return RuleIndex.Tree(
            host: append(text: name), hash: ByteHash(name).value, root: node(pathful, depth: 0), pathless: append(pathless))
    }

    /// - Parameter rules: those whose patterns have the same first `depth` segments.
    private mutating func node(_ rules: [Rule], depth: Int) -> Int {
        let index = nodes.count
        nodes.append(RuleIndex.Node())
        let ending = rules.filter { $0.path.segments.count == depth }
        nodes[index].exact = append(ending.filter { !$0.path.isOpen }.map { ($0.index, $0.methods) })
        nodes[index].open = append(ending.filter(\.path.isOpen).map { ($0.index, $0.methods) })
        var literals: [[UInt8]: [Rule]] = [:]
        var (captures, anys): ([Rule], [Rule]) = ([], [])
        for rule in rules where rule.path.segments.count > depth {
            switch rule.path.segments[depth] {
            case .literal(let literal): literals[literal, default: []].append(rule)
            case .capture: captures.append(rule)
            case .any: anys.append(rule)
            }
        }
        if !captures.isEmpty { nodes[index].capture = node(captures, depth: depth + 1) }
        if !anys.isEmpty { nodes[index].any = node(anys, depth: depth + 1) }
        let edges = literals.map { literal, rules in
            RuleIndex.Edge(hash: ByteHash(literal).value, literal: append(text: literal), node: node(rules, depth: depth + 1))
        }
        nodes[index].literals = self.edges.count..<self.edges.count + edges.count
        self.edges += edges.sorted { $0.hash < $1.hash }
        return index
    }

    /// Those with methods first, as they are more specific.
    private mutating func append(_ rules: [(index: Int, methods: MethodSet?)]) -> Range<Int> {
        let start = entries.count
        for rule in rules.filter({ $0.methods != nil }) + rules.filter({ $0.methods == nil }) {
            let bits = rule.methods?.names.reduce(into: UInt32(0)) { bits, name in
                if let bit = methods.firstIndex(of: name) { bits |= 1 << UInt32(bit) }
            }
            entries.append(RuleIndex.Entry(methods: bits, rule: rule.index))
        }
        return start..<entries.count
    }
}
