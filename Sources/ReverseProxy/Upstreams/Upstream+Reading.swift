import Settings

extension Upstream {
    /// Reads the map of names to upstreams.
    static func read(_ root: Section) -> [Upstream] {
        let accepted = "a map of names to upstreams, such as orders: { endpoints: [\"http://localhost:3004\", \"http://localhost:3005\"] }"
        return root.entries("upstreams", accepted: accepted)?.compactMap { entry in
            let name = entry.key(as: .name)
            guard let options = entry.options(accepted: "a map with endpoints, and what else the upstream needs") else { return nil }
            let endpoints = readEndpoints(options)
            var upstream = Upstream(name: name ?? "", endpoints: endpoints ?? [])
            upstream.readOptions(options)
            return name == nil || endpoints == nil ? nil : upstream
        } ?? []
    }

    private static func readEndpoints(_ options: Section) -> [Endpoint]? {
        let accepted = "a list of 1 to \(maximumEndpoints) endpoints, each \(Endpoint.accepted), or a map with url and weight"
        guard let items = options.items("endpoints", accepted: accepted) else {
            if !options.has("endpoints") { options.report("has no endpoints", accepted: accepted) }
            return nil
        }
        guard items.count <= maximumEndpoints else {
            options.report("endpoints", "are \(items.count)", accepted: accepted)
            return nil
        }
        var endpoints: [Endpoint] = []
        for item in items {
            guard let endpoint = readEndpoint(item) else { continue }
            guard !endpoints.contains(where: { $0.url == endpoint.url }) else {
                options.report("endpoints", "name \(endpoint.url) again", accepted: "each once")
                continue
            }
            endpoints.append(endpoint)
        }
        return endpoints.isEmpty ? nil : endpoints
    }

    private static func readEndpoint(_ item: Entry) -> Endpoint? {
        guard let options = item.section else { return item.value(.endpoint) }
        var endpoint = options.require("url", .endpoint)
        var weight = 1
        options.read("weight", .integer(1...1000), into: &weight)
        endpoint?.weight = weight
        return endpoint
    }
}

extension Form where Value == Balancing {
    static var balancing: Form {
        Form(accepted: "round-robin | least-requests | power-of-two | hash subject | hash header NAME") { text in
            switch text {
            case "round-robin": .roundRobin
            case "least-requests": .leastRequests
            case "power-of-two": .powerOfTwo
            case "hash subject": .hash(.subject)
            default: headerName(text).map { .hash(.header(Array($0.utf8))) }
            }
        }
    }

    private static func headerName(_ text: String) -> Substring? {
        guard text.hasPrefix("hash header ") else { return nil }
        let name = text.dropFirst(12)
        let others = "!#$%&'*+-.^_`|~".utf8
        let isName = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: others.contains(byte)
            }
        }
        return isName && !name.isEmpty ? name : nil
    }
}

extension Form where Value == Upstream {
    /// A URL, or one of the names.
    static func upstream(of named: [Upstream]) -> Form {
        let names = named.isEmpty ? "" : ", or one of \(named.map(\.name).joined(separator: ", "))"
        return Form(accepted: Endpoint.accepted + names, concealing: Form<String>.concealCredentials) { text in
            named.first { $0.name == text } ?? Endpoint(url: text).map { Upstream($0) }
        }
    }
}
