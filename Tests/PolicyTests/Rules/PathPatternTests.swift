import Testing

@testable import Policy

extension PathPattern {
    fileprivate func matches(_ path: String) -> Bool { matches(Array(path.utf8).span) }
}

extension HostPattern {
    fileprivate func matches(_ authority: String) -> Bool { matches(Array(authority.utf8).span) }
}

extension MethodSet {
    fileprivate func contains(_ method: String) -> Bool { contains(Array(method.utf8).span) }
}

@Suite struct `A path pattern` {
    @Test(arguments: [
        ("/api/projects/**", ["/api/projects", "/api/projects/", "/api/projects/1", "/api/projects/1/2/"], ["/api/projectsx", "/api/project", "/api", "/", "/x/api/projects", "*"]),
        ("/**", ["/", "/a", "/a/b/"], ["*", ""]),
        ("/", ["/"], ["/a", "*", ""]),
        ("/a", ["/a"], ["/a/", "/A", "/", "/ab", "/a/b"]),
        ("/a/", ["/a/"], ["/a", "/a/b"]),
        ("/a/{id}", ["/a/1", "/a/%2F"], ["/a/", "/a", "/a/1/", "/a/1/2"]),
        ("/a/{id}/b", ["/a/1/b"], ["/a/b", "/a//b", "/a/1/b/"]),
        ("/a/*", ["/a/1", "/a/"], ["/a", "/a/1/"]),
        ("/a/*/**", ["/a/1", "/a/", "/a/1/2/3"], ["/a"]),
        ("/{x}/{y}", ["/1/2"], ["/1/", "/1"]),
        ("/caf%C3%A9", ["/caf%C3%A9", "/caf%c3%a9"], ["/cafe", "/caf%C3"]),
        ("/a!b", ["/a!b", "/a%21b"], ["/a%2521b"]),
        ("/a%21b", ["/a!b", "/a%21b"], ["/a"]),
        ("/a%2Fb", ["/a%2fb", "/a%2Fb"], ["/a/b"]),
        ("/%41", ["/A", "/%41"], ["/a"]),
    ])
    func `matches what it says`(pattern: String, matching: [String], others: [String]) throws {
        let pattern = try PathPattern(pattern)
        for path in matching { #expect(pattern.matches(path), "\(path)") }
        for path in others { #expect(!pattern.matches(path), "\(path)") }
    }

    @Test(arguments: [
        ("", #"the path pattern "" doesn't begin with a slash, as in /api/**"#),
        ("api", #"the path pattern "api" doesn't begin with a slash, as in /api/**"#),
        ("/a/**/b", #"the path pattern "/a/**/b" has ** before its end, where it may not stand"#),
        ("/a*", #"the path pattern "/a*" has a * within a segment, of which it can only be the whole"#),
        ("/***", #"the path pattern "/***" has a * within a segment, of which it can only be the whole"#),
        ("/{}", #"the path pattern "/{}" has a segment with braces that isn't {name}, the name of letters, digits, _ and -"#),
        ("/{a", #"the path pattern "/{a" has a segment with braces that isn't {name}, the name of letters, digits, _ and -"#),
        ("/x{a}", #"the path pattern "/x{a}" has a segment with braces that isn't {name}, the name of letters, digits, _ and -"#),
        ("/{a}/{a}", #"the path pattern "/{a}/{a}" has {a} twice"#),
        ("/a//b", #"the path pattern "/a//b" has an empty segment (//), which no path has"#),
        ("/a/../b", #"the path pattern "/a/../b" has a dot segment, which no path has"#),
        ("/%2e", #"the path pattern "/%2e" has a dot segment, which no path has"#),
        ("/a?b=1", #"the path pattern "/a?b=1" has a ? or #: rules look at the path, without its query"#),
        ("/a b", #"the path pattern "/a b" has a character that paths have escaped only, as in %20"#),
        ("/é", #"the path pattern "/é" has a character that paths have escaped only, as in %20"#),
        (#"/a\b"#, #"the path pattern "/a\\b" has a backslash, which no path has"#),
        ("/a%2", #"the path pattern "/a%2" has a broken % escape"#),
        ("/%00", #"the path pattern "/%00" has an escaped control character or backslash, which no path has"#),
    ])
    func `that no path could match is refused`(pattern: String, message: String) {
        #expect(mistake { try PathPattern(pattern) } == message)
    }

    @Test func `has limits`() {
        #expect(mistake { try PathPattern("/" + String(repeating: "a", count: 2047)) } == nil)
        #expect(mistake { try PathPattern("/" + String(repeating: "a", count: 2048)) } == "a path pattern has 2049 bytes, more than 2048")
        #expect(mistake { try PathPattern(String(repeating: "/a", count: 64)) } == nil)
        #expect(mistake { try PathPattern(String(repeating: "/a", count: 65)) }?.hasSuffix("has 65 segments, more than 64") == true)
    }
}

@Suite struct `A host pattern` {
    @Test(arguments: [
        ("api.example.com", ["api.example.com", "API.example.COM:8080", "api.example.com.", "api.example.com.:80"], ["", "example.com", "x.api.example.com", "api.example.comx", "api.example.co"]),
        ("*.example.com", ["a.example.com", "A.B.EXAMPLE.com:1"], ["example.com", ".example.com", "xexample.com", "a.example.org", "..example.com", ""]),
        ("[2001:DB8::1]", ["[2001:db8::1]", "[2001:db8::1]:443"], ["2001:db8::1", "[2001:db8::2]", "[2001:db8::1"]),
        ("localhost", ["localhost:3000", "LOCALHOST"], ["localhos", "localhost1"]),
        ("10.0.0.1", ["10.0.0.1:80"], ["10.0.0.11"]),
    ])
    func `matches what it says`(pattern: String, matching: [String], others: [String]) throws {
        let pattern = try HostPattern(pattern)
        for host in matching { #expect(pattern.matches(host), "\(host)") }
        for host in others { #expect(!pattern.matches(host), "\(host)") }
    }

    @Test(arguments: [
        ("", "has an empty label: accepted are names such as api.example.com and *.example.com"),
        ("a..b", "has an empty label: accepted are names such as api.example.com and *.example.com"),
        ("*.", "has an empty label: accepted are names such as api.example.com and *.example.com"),
        ("a.*.com", "has a * elsewhere than as its first label, as in *.example.com"),
        ("*", "has a * elsewhere than as its first label, as in *.example.com"),
        ("*a.com", "has a * elsewhere than as its first label, as in *.example.com"),
        ("a.com:80", "has other characters than letters, digits, - and dots (rules ignore the port): accepted are api.example.com and *.example.com"),
        ("[::1", "is no IPv6 address in brackets, and no name without a port, as in [::1] or api.example.com"),
        ("[xyz]", "is no IPv6 address in brackets, and no name without a port, as in [::1] or api.example.com"),
    ])
    func `that is none is refused`(pattern: String, message: String) {
        #expect(mistake { try HostPattern(pattern) } == "the host \"\(pattern)\" \(message)")
    }
}

@Suite struct `A set of methods` {
    @Test func `has HEAD where it has GET`() throws {
        #expect(try MethodSet(["POST", "GET", "GET"]).description == "GET, HEAD, POST")
        #expect(try MethodSet(["POST"]).description == "POST")
        #expect(try MethodSet(["HEAD"]).description == "HEAD")
    }

    @Test func `tells methods apart by case, and has no others`() throws {
        let methods = try MethodSet(["GET", "PURGE"])
        for method in ["GET", "HEAD", "PURGE"] { #expect(methods.contains(method)) }
        for method in ["", "get", "GETS", "GE", "POST"] { #expect(!methods.contains(method)) }
    }

    @Test(arguments: [
        ([], "the list of methods is empty; leave it out for any method"),
        (["get"], #"the method "get" has lower-case letters; methods are upper case, as in GET"#),
        ([""], #""" is no method, which is a token of 1 to 64 bytes, as in GET"#),
        (["A B"], #""A B" is no method, which is a token of 1 to 64 bytes, as in GET"#),
    ])
    func `that has something else is refused`(methods: [String], message: String) {
        #expect(mistake { try MethodSet(methods) } == message)
    }
}
