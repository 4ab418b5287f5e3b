import Testing

@testable import TLS

@Suite struct `Names of a server` {
    private let names: ServerNames

    init() {
        var names = ServerNames()
        for (index, name) in ["example.com", "*.example.com", "API.example.com", "*.b.example.com", "example.com"].enumerated() {
            names.add(name, at: index)
        }
        self.names = names
    }

    @Test(arguments: [
        ("example.com", 0), ("EXAMPLE.com", 0), ("example.com.", 0), ("www.example.com", 1), ("api.example.com", 2), ("a.b.example.com", 3),
        ("b.example.com", 1),
    ]) func `are exact before they are wildcards, whatever their case`(_ name: String, _ index: Int) {
        #expect(names.index(of: name) == index)
    }

    @Test(arguments: ["", ".", ".example.com", "a.c.example.com", "example.org", "com", "xexample.com", "*"])
    func `are no others`(_ name: String) {
        #expect(names.index(of: name) == nil)
    }
}
