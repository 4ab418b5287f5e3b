import JSONWebToken
import KeySources
import Settings

extension IssuerSettings {
    /// Reads one entry of `issuers`. Nil where it is wrong, which is then reported.
    static func read(_ entry: Entry, readFile: (String) throws(InvalidConfiguration) -> [UInt8]) -> IssuerSettings? {
        guard let name = entry.key(as: .name), let section = entry.options(accepted: "a map of options, one of which says where the keys are")
        else { return nil }
        var issuer: String?
        section.read("issuer", .line, into: &issuer)
        var requirements = TokenRequirements()
        section.readList("audiences", .line, mayBeNull: true, into: &requirements.audiences)
        section.read("leeway_seconds", .integer(0...3600), into: &requirements.leewaySeconds)
        section.read("maximum_age_seconds", .integer(1...315_360_000), into: &requirements.maximumAgeSeconds)
        requirements.requiredClaims = section.claimPaths("required_claims", mayBeNull: true) ?? []
        section.read("requires_expiry", .boolean, into: &requirements.requiresExpiry)
        var types: [String] = []
        section.readList("types", .line, mayBeNull: true, into: &types)
        if !types.isEmpty { requirements.types = types }
        var algorithms: [SignatureAlgorithm] = []
        section.readList("algorithms", .choice, mayBeNull: true, into: &algorithms)
        guard let (keys, admitted) = keySource(name, issuer, section, readFile) else { return nil }
        if let admitted, !algorithms.isEmpty, admitted.isDisjoint(with: algorithms) {
            section.report(
                "algorithms", "has none that the key admits",
                accepted: SignatureAlgorithm.allCases.filter(admitted.contains).map(\.rawValue).joined(separator: ", "))
        }
        var settings = IssuerSettings(name: name, keys: keys)
        settings.issuer = issuer
        settings.requirements = requirements
        settings.algorithms = algorithms.isEmpty ? nil : Set(algorithms)
        return settings
    }

    private enum Place: String, CaseIterable {
        case secret, secret_file, key_file, jwks_url, discovery
    }

    /// Where the keys come from, and what those admit that are there already.
    private static func keySource(
        _ name: String, _ issuer: String?, _ section: Section, _ readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> (source: KeySource, admitted: Set<SignatureAlgorithm>?)? {
        var (secret, secretFile, keyFile, url): (String?, String?, String?, String?)
        var isDiscovered: Bool?
        section.read("secret", .secret, into: &secret)
        section.read("secret_file", .absolutePath, into: &secretFile)
        section.read("key_file", .absolutePath, into: &keyFile)
        section.read("jwks_url", .line, into: &url)
        section.read("discovery", .boolean, into: &isDiscovered)
        let fetching = Fetching.read(section, readFile)

        let given = Place.allCases.filter { section.has($0.rawValue) && ($0 != .discovery || isDiscovered != false) }
        guard given.count == 1, let place = given.first else {
            let found = given.isEmpty ? "doesn't say where its keys are" : "says where its keys are more than once: " + given.map(\.rawValue).joined(separator: " and ")
            section.report(found, accepted: "one of " + Place.allCases.map(\.rawValue).joined(separator: ", "))
            return nil
        }
        if place != .jwks_url, place != .discovery { fetching.refuseFor(place.rawValue, section) }
        do throws(UnusableKeySource) {
            switch place {
            case .secret: return secret.flatMap { fixed(name, Array($0.utf8)) }
            case .secret_file: return secretFile.flatMap { SharedSecret.read(file: $0, "secret_file", section, readFile) }.flatMap { fixed(name, $0) }
            case .key_file:
                guard let keyFile, let keys = keys(keyFile, section, readFile) else { return nil }
                return (.file(name, path: keyFile), keys.algorithms)
            case .jwks_url:
                guard let url else { return nil }
                return (
                    try .url(name, url, rules: fetching.rules, caFile: fetching.caFile, allowsInsecure: fetching.allowsInsecure), nil
                )
            case .discovery:
                guard isDiscovered == true else { return nil }
                guard let issuer else {
                    section.report("discovery", "is true and there is no issuer", accepted: "an issuer, whose document is looked for")
                    return nil
                }
                return (
                    try .openID(name, issuer: issuer, rules: fetching.rules, caFile: fetching.caFile, allowsInsecure: fetching.allowsInsecure),
                    nil
                )
            }
        } catch {
            section.report(place == .discovery ? "issuer" : place.rawValue, "can't be used: \(error)", accepted: nil)
            return nil
        }
    }

    private static func fixed(_ name: String, _ secret: [UInt8]) -> (source: KeySource, admitted: Set<SignatureAlgorithm>?)? {
        (try? VerificationKey(secret: secret)).map { (.fixed(name, KeySet($0)), $0.algorithms) }
    }

    private static func keys(
        _ path: String, _ section: Section, _ readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> KeySet? {
        let bytes: [UInt8]
        do throws(InvalidConfiguration) {
            bytes = try readFile(path)
        } catch {
            for mistake in error.mistakes { section.report("key_file", "names \(path), which \(mistake.found)", accepted: mistake.accepted) }
            return nil
        }
        do throws(UnusableKey) {
            return try KeySet(bytes)
        } catch {
            section.report("key_file", "names \(path), which has no key that can be used: \(error)", accepted: nil)
            return nil
        }
    }
}

/// How keys are fetched from an address, as it is configured.
private struct Fetching {
    private(set) var rules = RefreshRules()
    private(set) var caFile: String?
    private(set) var allowsInsecure = false

    private enum Key: String, CaseIterable {
        case minimum = "refresh_minimum_seconds"
        case maximum = "refresh_maximum_seconds"
        case unknownKeyInterval = "unknown_key_interval_seconds"
        case caFile = "ca_file"
        case allowsInsecure = "allow_insecure_http"
    }

    static func read(_ section: Section, _ readFile: (String) throws(InvalidConfiguration) -> [UInt8]) -> Fetching {
        var fetching = Fetching()
        section.read(Key.minimum.rawValue, .integer(1...86_400), into: &fetching.rules.minimumSeconds)
        section.read(Key.maximum.rawValue, .integer(1...2_678_400), into: &fetching.rules.maximumSeconds)
        section.read(Key.unknownKeyInterval.rawValue, .integer(1...86_400), into: &fetching.rules.unknownKeyIntervalSeconds)
        section.read(Key.caFile.rawValue, .absolutePath, into: &fetching.caFile)
        section.read(Key.allowsInsecure.rawValue, .boolean, into: &fetching.allowsInsecure)
        let (minimum, maximum) = (fetching.rules.minimumSeconds, fetching.rules.maximumSeconds)
        if minimum > maximum {
            section.report(Key.minimum.rawValue, "is \(minimum), more than \(Key.maximum.rawValue), which is \(maximum)", accepted: "at most that")
        }
        if let path = fetching.caFile {
            do throws(InvalidConfiguration) {
                _ = try readFile(path)
            } catch {
                for mistake in error.mistakes { section.report(Key.caFile.rawValue, "names \(path), which \(mistake.found)", accepted: mistake.accepted) }
            }
        }
        return fetching
    }

    /// Where nothing is fetched, what says how means nothing.
    func refuseFor(_ place: String, _ section: Section) {
        for key in Key.allCases where section.has(key.rawValue) {
            section.report(key.rawValue, "stands beside \(place), for which nothing is fetched", accepted: "jwks_url or discovery with it")
        }
    }
}
