import Testing

private let tree = SourceTree.shared

/// The name under which Package.swift lists what an import line of another package names.
private let packages = ["Yams": "yams", "Logging": "logging", "ArgumentParser": "arguments"]

@Suite struct `The modules` {
    @Test func `are found with their floors`() {
        for (name, floor) in ["Bytes": 0, "CLinux": 0, "PolicyProtocol": 1, "EventLoop": 2, "PolicyClient": 3, "Counters": 4, "ReverseProxy": 5, "gatehouse": 6] {
            #expect(tree.modules[name]?.floor == floor, "\(name)")
        }
        #expect(tree.imports.count > 50)
        for module in tree.modules.values where !module.name.hasPrefix("C") {
            #expect(!SourceTree.files(of: module).isEmpty, "\(module.name) has no source")
        }
    }

    /// Claims are JSON values: the one import that stays on its floor.
    private static let onOneFloor = ["Policy": "JSON"]

    @Test func `import strictly downward`() {
        for line in tree.imports {
            guard let imported = tree.modules[line.imported], Self.onOneFloor[line.module.name] != imported.name else { continue }
            #expect(imported.floor < line.module.floor, "\(line)")
        }
    }

    @Test func `declare in Package.swift what they import`() {
        for line in tree.imports where tree.modules[line.imported] != nil || packages[line.imported] != nil {
            #expect(line.module.dependencies.contains(packages[line.imported] ?? line.imported), "\(line)")
        }
    }

    @Test func `import what they declare in Package.swift`() {
        for module in tree.modules.values {
            let imported = Set(tree.imports.filter { $0.module.name == module.name }.map { packages[$0.imported] ?? $0.imported })
            #expect(module.dependencies.subtracting(imported).isEmpty, "\(module.name)")
        }
    }

    /// The buffer's storage is `malloc`'s.
    private static let ofTheSystem = ["Bytes": "Glibc"]

    @Test func `of floor 1 import nothing but modules of this project`() {
        for line in tree.imports where line.module.floor <= 1 && line.module.name != "CLinux" {
            #expect(tree.modules[line.imported] != nil || Self.ofTheSystem[line.module.name] == line.imported, "\(line)")
        }
    }

    @Test func `up to floor 5 do without Foundation`() {
        for line in tree.imports where line.module.floor <= 5 {
            #expect(!["Foundation", "FoundationEssentials"].contains(line.imported), "\(line)")
        }
    }

    @Test(arguments: ["ReverseProxy", "gatehouse-proxy", "PolicyClient"])
    func `that make up the proxy know nothing of policy, tokens or counters`(_ name: String) throws {
        var reached: Set<String> = []
        var queue = [name]
        while let next = queue.popLast() {
            guard let module = tree.modules[next], reached.insert(next).inserted else { continue }
            queue += module.dependencies
            queue += tree.imports.filter { $0.module.name == next }.map(\.imported)
        }
        #expect(reached.isDisjoint(with: ["Policy", "JSONWebToken", "Counters", "PolicyDaemon"]))
    }

    @Test func `that make up the daemon know nothing of the proxy`() throws {
        let daemon = try #require(tree.modules["PolicyDaemon"])
        #expect(daemon.dependencies.isDisjoint(with: ["ReverseProxy", "PolicyClient"]))
    }
}

@Suite struct `Raw pointers` {
    private static let modules: Set = ["EventLoop", "CLinux", "COpenSSL", "CHiredis", "CCurl", "CNghttp2", "Bytes", "HTTP2", "TLS"]
    /// How files begin that call a C library, and the one table that is moved into and out of by hand.
    private static let files = ["JSONWebToken/HMAC", "JSONWebToken/OpenSSL", "KeySources/Curl", "Counters/Redis", "Counters/Queue"]

    @Test func `stay in the event loop, the buffer and beside the C libraries`() {
        let pointer = /\bUnsafe\w*Pointer\b|\bOpaquePointer\b|\bUnmanaged\b|\bwithUnsafe(?!Continuation|CurrentTask)\w*/
        for module in tree.modules.values where module.isOfTrunk && !Self.modules.contains(module.name) {
            for file in SourceTree.files(of: module) where !Self.files.contains(where: "\(module.name)/\(file.name)".hasPrefix) {
                #expect(file.text.firstMatch(of: pointer) == nil, "\(module.name)/\(file.name)")
            }
        }
    }

    @Test func `are nowhere unchecked`() {
        for module in tree.modules.values {
            for file in SourceTree.files(of: module) {
                #expect(!file.text.contains("unowned(unsafe)"), "\(module.name)/\(file.name)")
            }
        }
    }
}
