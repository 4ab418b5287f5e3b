import JSON
import Policy
import PolicyDaemon
import Settings

/// What a case says of its request, and what all of them have in common.
struct Circumstances {
    private var scene: Scene
    /// Kept apart until all is read: a case adds to the claims that all have.
    private var claims: JSONObject?
    private var issuer: String?

    init(nowUnixMilliseconds: Int64) { scene = Scene(nowUnixMilliseconds: nowUnixMilliseconds) }

    var whole: Scene {
        var scene = scene
        if let claims { scene.credential = .claims(claims, issuer: issuer) }
        return scene
    }

    /// Reads what the section says, and leaves the rest as it is.
    mutating func read(_ section: Section) {
        readRequest(section)
        readHeaders(section)
        readCredential(section)
        readCertificate(section)
        for (name, value) in section.members("used", accepted: "a map of limits to how much of each was used") ?? [] {
            guard case .value(.number(let digits)) = value, let count = Int(digits), (0...1_000_000_000).contains(count) else {
                section.report("used", "has no count for \(name.debugDescription)", accepted: "a whole number from 0 to 1000000000")
                continue
            }
            scene.used[name] = count
        }
        section.read("time", .moment, into: &scene.nowUnixMilliseconds)
        section.read("revoked", .boolean, into: &scene.isRevoked)
    }

    private mutating func readRequest(_ section: Section) {
        var line: String?
        section.read("request", .line, into: &line)
        section.read("host", .line, into: &scene.host)
        section.read("client", .clientAddress, into: &scene.clientAddress)
        guard let line else { return }
        do throws(UnusableTarget) {
            (scene.method, scene.target) = try RequestLine.parse(line)
        } catch {
            section.report("request", "is \(line.debugDescription): \(error)", accepted: "a method and a target, as in GET /api/projects")
        }
    }

    private mutating func readHeaders(_ section: Section) {
        for (name, value) in section.members("headers", accepted: "a map of names to values") ?? [] {
            let name = name.lowercased()
            scene.headers.removeAll { $0.name == name }
            switch value {
            case .null: break
            case .value(let scalar): scene.headers.append((name, scalar.text))
            case .list(let several):
                for case .value(let scalar) in several { scene.headers.append((name, scalar.text)) }
            case .map: section.report("headers", "has a map for \(name.debugDescription)", accepted: "a text, or a list of them for a header that comes several times")
            }
        }
    }

    /// A case's own credential takes the place of the one that all have; null takes that away.
    private mutating func readCredential(_ section: Section) {
        section.read("issuer", .name, into: &issuer)
        let (token, apiKey, own) = (section.tree("token"), section.tree("api_key"), section.tree("claims"))
        let given = [token, apiKey, own].compactMap(\.self)
        guard !given.isEmpty else { return }
        let present = given.filter { if case .null = $0 { false } else { true } }
        guard present.count <= 1 else {
            return section.report("has several credentials", accepted: "one of token, api_key and claims; a second one in headers")
        }
        var text: String?
        section.read("token", .line, into: &text)
        if let text { return setCredential(.token(text)) }
        section.read("api_key", .line, into: &text)
        if let text { return setCredential(.apiKey(text)) }
        guard let own, case .map(let members) = own else {
            if !present.isEmpty, own != nil { section.report("claims", "is no map", accepted: "what a token says, as in {sub: alice}") }
            return setCredential(.none)
        }
        setClaims(members, section)
    }

    /// Null takes the one away that all have.
    private mutating func readCertificate(_ section: Section) {
        switch section.tree("certificate") {
        case nil: return
        case .null?: scene.certificate = nil
        case let tree?:
            guard case .object(let facts)? = JSONValue(tree) else {
                return section.report("certificate", "is no map", accepted: "what it says, as in {subject: CN=worker}")
            }
            if let certificate = section.attempt("certificate", { () throws(RuleMistake) in try ClientCertificate(facts) }) {
                scene.certificate = certificate
            }
        }
    }

    private mutating func setCredential(_ credential: Scene.Credential) {
        claims = nil
        scene.credential = credential
    }

    private mutating func setClaims(_ members: [(key: String, value: Tree)], _ section: Section) {
        var all = claims?.members ?? []
        for (name, value) in members {
            all.removeAll { $0.name == name }
            if case .null = value { continue }
            guard let value = JSONValue(value) else {
                section.report("claims", "has a number that JSON doesn't have in \(name.debugDescription)", accepted: "quotes around a text")
                continue
            }
            all.append((name, value))
        }
        claims = JSONObject(all)
    }
}

extension JSONValue {
    /// Nil where it has a number that JSON doesn't have.
    init?(_ tree: Tree) {
        switch tree {
        case .null: self = .null
        case .value(let scalar): self.init(scalar)
        case .list(let elements):
            let values = elements.compactMap(JSONValue.init)
            guard values.count == elements.count else { return nil }
            self = .array(values)
        case .map(let members):
            let values = members.compactMap { member in JSONValue(member.value).map { (name: member.key, value: $0) } }
            guard values.count == members.count else { return nil }
            self = .object(JSONObject(values))
        }
    }
}
