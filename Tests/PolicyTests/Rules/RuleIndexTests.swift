import Testing

@testable import Policy

private func matcher(_ path: String? = nil, _ methods: [String]? = nil, host: String? = nil) throws -> RequestMatcher {
    RequestMatcher(host: try host.map(HostPattern.init), methods: try methods.map(MethodSet.init), path: try path.map(PathPattern.init))
}

private func named(_ matchers: [RequestMatcher]) -> [(name: String, matcher: RequestMatcher)] {
    matchers.enumerated().map { ("r\($0.offset)", $0.element) }
}

extension RuleIndex {
    fileprivate func rule(_ method: String, _ authority: String, _ path: String) -> Int? {
        rule(authority: Array(authority.utf8).span, method: Array(method.utf8).span, path: Array(path.utf8).span)
    }
}

extension RequestMatcher {
    fileprivate func matches(_ method: String, _ authority: String, _ path: String) -> Bool {
        matches(authority: Array(authority.utf8).span, method: Array(method.utf8).span, path: Array(path.utf8).span)
    }
}

/// Rules and requests out of few words, so that they meet often.
private struct Maker {
    var random: SeededGenerator
    /// The text that patterns have.
    var words = ["a", "b", "a%21", "%c3%a9"]

    private static let hosts = ["x.org", "a.x.org", "b.a.x.org", "y.org"]
    private static let methods = ["GET", "HEAD", "POST", "PUT"]

    mutating func matcher() throws -> RequestMatcher {
        let hosts: [String?] = [nil, nil, "x.org", "a.x.org", "*.x.org", "*.a.x.org"]
        let host: String? = hosts.randomElement(using: &random) ?? nil
        let methods = Bool.random(using: &random) ? nil : Array(Self.methods.shuffled(using: &random).prefix(Int.random(in: 1...2, using: &random)))
        return RequestMatcher(
            host: try host.map(HostPattern.init), methods: try methods.map(MethodSet.init),
            path: Int.random(in: 0..<12, using: &random) == 0 ? nil : try PathPattern(pattern()))
    }

    private mutating func pattern() -> String {
        var segments: [String] = []
        for number in 0..<Int.random(in: 0...3, using: &random) {
            segments.append((["{n\(number)}", "*"] + words).randomElement(using: &random) ?? "a")
        }
        if segments.isEmpty || Int.random(in: 0..<3, using: &random) == 0 {
            segments.append(["**", ""].randomElement(using: &random) ?? "")
        }
        return segments.map { "/" + $0 }.joined()
    }

    mutating func path() -> String {
        let words = ["a", "b", "a!", "a%21", "%c3%a9", "%C3%A9", "%21", "c"]
        var segments = (0..<Int.random(in: 0...4, using: &random)).map { _ in words.randomElement(using: &random) ?? "a" }
        if segments.isEmpty || Int.random(in: 0..<4, using: &random) == 0 { segments.append("") }
        return Int.random(in: 0..<30, using: &random) == 0 ? "*" : segments.map { "/" + $0 }.joined()
    }

    mutating func host() -> String { (Self.hosts + ["", "A.X.ORG:80", "z.b.a.x.org."]).randomElement(using: &random) ?? "" }

    mutating func method() -> String { (Self.methods + ["DELETE"]).randomElement(using: &random) ?? "GET" }

    /// A list without conflicts.
    mutating func rules(_ count: Int) throws -> [RequestMatcher] {
        var rules: [RequestMatcher] = []
        for _ in 0..<count {
            let rule = try matcher()
            if (try? RuleIndex(named(rules + [rule]))) != nil { rules.append(rule) }
        }
        return rules
    }
}

/// What the index does, done slowly: of all rules that match, the one that no other is more specific than.
private func reference(_ rules: [RequestMatcher], _ method: String, _ authority: String, _ path: String) -> [Int] {
    let matching = rules.indices.filter { rules[$0].matches(method, authority, path) }
    return matching.filter { rule in matching.allSatisfy { $0 == rule || rules[rule].isMoreSpecific(than: rules[$0]) } }
}

@Suite struct `The most specific rule` {
    @Test(arguments: [
        ("GET", "z.org", "/api/users", 0), ("GET", "z.org", "/api/users/", 3), ("GET", "z.org", "/api/users/7", 1),
        ("POST", "z.org", "/api/users/7", 2), ("HEAD", "z.org", "/api/users/7", 1), ("GET", "z.org", "/api/users/7/x", 3),
        ("GET", "z.org", "/api/x", 4), ("GET", "z.org", "/", 4), ("OPTIONS", "z.org", "*", nil),
        ("GET", "admin.example.com", "/api/users", 5), ("GET", "a.b.example.com", "/api/users", 7), ("GET", "b.example.com", "/", 6),
        ("GET", "example.com", "/", 4),
    ])
    func `goes by host, then path, then method`(method: String, host: String, path: String, expected: Int?) throws {
        let index = try RuleIndex(
            named([
                try matcher("/api/users"), try matcher("/api/users/{id}", ["GET"]), try matcher("/api/users/{id}"),
                try matcher("/api/users/**"), try matcher("/**"), try matcher(host: "admin.example.com"),
                try matcher(host: "*.example.com"), try matcher("/api/**", host: "*.b.example.com"),
            ]))
        #expect(index.rule(method, host, path) == expected)
    }

    @Test func `of a host is looked for elsewhere where none of its rules matches`() throws {
        let index = try RuleIndex(
            named([
                try matcher("/a", host: "x.org"), try matcher("/b", host: "*.org"), try matcher("/c"), try matcher("/a/{id}/c"),
                try matcher("/a/b/d"), try matcher("/a/*/e"),
            ]))
        #expect(index.rule("GET", "x.org", "/a") == 0)
        #expect(index.rule("GET", "x.org", "/b") == 1)
        #expect(index.rule("GET", "x.org", "/c") == 2)
        #expect(index.rule("GET", "x.org", "/d") == nil)
        #expect(index.rule("GET", "x.org", "/a/b/c") == 3, "back from the text to {id}")
        #expect(index.rule("GET", "x.org", "/a/b/e") == 5)
        #expect(index.rule("GET", "x.org", "/a/b/d") == 4)
    }

    @Test func `is none without rules`() throws {
        #expect(try RuleIndex([]).rule("GET", "x", "/") == nil)
    }

    @Test(arguments: 0..<30)
    func `is the one that a slow look at all rules finds`(seed: UInt64) throws {
        var maker = Maker(random: SeededGenerator(seed: seed))
        let rules = try maker.rules(Int.random(in: 1...40, using: &maker.random))
        let index = try RuleIndex(named(rules))
        for _ in 0..<200 {
            let (method, host, path) = (maker.method(), maker.host(), maker.path())
            let expected = reference(rules, method, host, path)
            let found = index.rule(method, host, path)
            #expect(found.map { [$0] } ?? [] == expected, "\(method) \(host) \(path)")
        }
    }

    @Test(arguments: 0..<20)
    func `is one only: rules that are equally specific and meet are refused`(seed: UInt64) throws {
        var maker = Maker(random: SeededGenerator(seed: 1000 + seed))
        let rules = try (0..<12).map { _ in try maker.matcher() }
        var haveMet = false
        for _ in 0..<800 {
            let (method, host, path) = (maker.method(), maker.host(), maker.path())
            if rules.contains(where: { $0.matches(method, host, path) }), reference(rules, method, host, path).isEmpty { haveMet = true }
        }
        if haveMet { #expect((try? RuleIndex(named(rules))) == nil) }
    }

    @Test func `is found as fast among many, whatever the path`() throws {
        let rules = try (0..<1000).map { try matcher("/api/v\($0 % 10)/service\($0)/{id}/**") }
        let index = try RuleIndex(named(rules))
        for number in 0..<1000 { #expect(index.rule("GET", "h", "/api/v\(number % 10)/service\(number)/1/x") == number) }
        #expect(index.rule("GET", "h", String(repeating: "/api", count: 10_000)) == nil)
    }
}

@Suite struct `Rules in conflict` {
    @Test(arguments: [
        ("/a/{x}", ["GET"], "/a/{y}", ["POST", "HEAD"], "HEAD /a/x"), ("/a", nil, "/a", nil, "GET /a"),
        ("/**", nil, "/**", nil, "GET /"), (nil, ["PUT"], nil, ["PUT"], "PUT /"), ("/%61", nil, "/a", nil, "GET /a"),
    ] as [(String?, [String]?, String?, [String]?, String)])
    func `are refused`(path: String?, methods: [String]?, otherPath: String?, otherMethods: [String]?, example: String) throws {
        let rules = [("a", try matcher(path, methods)), ("b", try matcher(otherPath, otherMethods))]
        #expect(
            mistake { try RuleIndex(rules) }
                == #"the rules "a" and "b" are equally specific and both match \#(example): change the host, the methods (GET has HEAD as well) or the path of one"#)
    }

    @Test func `are not those that never meet`() throws {
        let rules = [
            try matcher("/a", ["GET"]), try matcher("/a", ["POST"]), try matcher("/a"), try matcher("/b"), try matcher("/a", host: "x.org"),
            try matcher("/a", host: "y.org"), try matcher("/a/"), try matcher("/a/*"), try matcher("/a/{x}"),
        ]
        #expect(mistake { try RuleIndex(named(rules)) } == nil)
    }

    @Test func `and too many rules or methods are refused`() throws {
        let many = try (0...1024).map { try matcher("/\($0)") }
        #expect(mistake { try RuleIndex(named(many)) } == "there are 1025 rules, more than 1024")
        let methods = try (0...32).map { try matcher("/\($0)", ["M\($0)"]) }
        #expect(mistake { try RuleIndex(named(methods)) } == "the rules name 33 different methods, more than 32")
    }
}

@Suite struct `Rules that overlap` {
    @Test func `are told in pairs, the winner first`() throws {
        let overlaps = RuleOverlap.all(in: [
            ("all", try matcher("/**")), ("users", try matcher("/users/{id}")), ("me", try matcher("/users/me", ["GET"])),
            ("reports", try matcher("/{team}/reports")), ("other", try matcher("/x", host: "x.org")),
        ])
        #expect(
            overlaps.map(\.description) == [
                #"rule "users" is an exception to "all", such as for GET /users/x"#,
                #"rule "me" is an exception to "all", such as for GET /users/me"#,
                #"rule "reports" is an exception to "all", such as for GET /x/reports"#,
                #"rule "other" is an exception to "all", such as for GET x.org/x"#,
                #"rule "me" is an exception to "users", such as for GET /users/me"#,
                #"rule "users" goes before "reports" where both match, such as for GET /users/reports"#,
            ])
        #expect(overlaps.map(\.kind) == [.exception, .exception, .exception, .exception, .exception, .partial])
    }

    @Test(arguments: [
        (["/a/*/c", "/a/{id}/c"], [#"rule "r0" is never reached: "r1" matches all of it"#]),
        (["/a/**", "/a", "/a/*", "/a/*/**"], [#"rule "r0" is never reached: "r1", "r2" and "r3" together match all of it"#]),
        (["/a/*", "/a/{id}", "/a/"], [#"rule "r0" is never reached: "r1" and "r2" together match all of it"#]),
        (["/a/*", "/a/{id}"], []), (["/a/**", "/a/{id}/**"], []), (["/**", "/{a}", "/"], []),
    ])
    func `may leave nothing to one of them`(patterns: [String], expected: [String]) throws {
        let overlaps = RuleOverlap.all(in: named(try patterns.map { try matcher($0) }))
        #expect(overlaps.filter { $0.kind == .neverReached }.map(\.description) == expected)
    }

    @Test(arguments: 0..<12)
    func `are those that a look at every request finds`(seed: UInt64) throws {
        var maker = Maker(random: SeededGenerator(seed: 2000 + seed), words: ["a", "b"])
        let rules = try maker.rules(20)
        let index = try RuleIndex(named(rules))
        let overlaps = RuleOverlap.all(in: named(rules))
        var reached: Set<Int> = []
        var met: Set<[Int]> = []
        let words = ["a", "b", "fresh"]
        var paths: [[String]] = [[]]
        for _ in 0..<4 { paths += paths.flatMap { path in words.map { path + [$0] } } }
        let texts = Set(paths.flatMap { path in [path, path + [""]] }.map { $0.map { "/" + $0 }.joined() }).subtracting([""]).union(["*"])
        for host in ["", "x.org", "a.x.org", "z.x.org", "z.a.x.org"] {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
                for path in texts {
                    guard let winner = index.rule(method, host, path) else { continue }
                    reached.insert(winner)
                    for rule in rules.indices where rule != winner && rules[rule].matches(method, host, path) { met.insert([winner, rule]) }
                }
            }
        }
        let unreachable = overlaps.filter { $0.kind == .neverReached }.map(\.rule)
        #expect(unreachable == rules.indices.filter { !reached.contains($0) }.map { "r\($0)" })
        let pairs = Set(overlaps.filter { $0.kind != .neverReached }.map { [$0.winners[0], $0.rule] })
        #expect(Set(met.map { $0.map { "r\($0)" } }).isSubset(of: pairs))
    }
}
