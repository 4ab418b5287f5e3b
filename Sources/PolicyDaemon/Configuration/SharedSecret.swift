import JSONWebToken
import KeySources
import Settings

/// The issuer that signs with a secret shared with the daemon: `JWT_SECRET`, else `jwt.secret`, else the file that `jwt.secret_file`
/// names.
public enum SharedSecret {
    static let issuerName = "jwt"

    /// - Parameter isRequired: whether there is no other key.
    /// - Returns: nil where there is no secret, or it can't be had; which is then reported.
    static func read(
        _ settings: SettingsReader, isRequired: Bool, readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> IssuerSettings? {
        let jwt = settings.root.section("jwt")
        var secret: String?
        var secretFile: String?
        jwt.read("secret", .secret, into: &secret)
        jwt.read("secret_file", .absolutePath, into: &secretFile)
        var requirements = TokenRequirements()
        jwt.read("leeway_seconds", .integer(0...3600), into: &requirements.leewaySeconds)
        if jwt.has("secret"), jwt.has("secret_file") {
            jwt.report("secret_file", "stands beside jwt.secret", accepted: "one of the two")
        }
        let bytes: [UInt8]?
        if let variable = settings.variable("JWT_SECRET") {
            bytes = Array(variable.utf8)
        } else if let secret {
            bytes = Array(secret.utf8)
        } else {
            bytes = secretFile.flatMap { read(file: $0, "secret_file", jwt, readFile) }
            if isRequired, !jwt.has("secret"), !jwt.has("secret_file") { reportMissing(settings) }
        }
        guard let bytes, let key = try? VerificationKey(secret: bytes) else { return nil }
        var issuer = IssuerSettings(name: issuerName, keys: .fixed(issuerName, KeySet(key)))
        issuer.requirements = requirements
        // The one algorithm of the gateway that has nothing but a secret; `issuers` are for the others.
        issuer.algorithms = [.hs256]
        return issuer
    }

    private static func reportMissing(_ settings: SettingsReader) {
        settings.report(
            variable: "JWT_SECRET", "no key to verify tokens with",
            accepted: """
                the secret that signs them, in this variable, in jwt.secret or in the file that jwt.secret_file names \
                (a new one: openssl rand -base64 32); or issuers, or api_keys
                """)
    }

    /// The secret that a file holds. Editors, and `openssl rand -base64 32 > file`, end a file with a newline that nobody means.
    public static func trimmed(_ content: [UInt8]) -> [UInt8] {
        var secret = content
        if secret.last == UInt8(ascii: "\n") { secret.removeLast() }
        if secret.last == UInt8(ascii: "\r") { secret.removeLast() }
        return secret
    }

    /// The secret in a file, which is the option `key` of `section`. Nil where it can't be had, which is then reported.
    static func read(
        file path: String, _ key: String, _ section: Section, _ readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> [UInt8]? {
        do {
            let bytes = trimmed(try readFile(path))
            guard bytes.isEmpty else { return bytes }
            section.report(key, "names \(path), which is empty", accepted: "a file with the secret on its one line")
        } catch {
            for mistake in error.mistakes { section.report(key, "names \(path), which \(mistake.found)", accepted: mistake.accepted) }
        }
        return nil
    }
}
