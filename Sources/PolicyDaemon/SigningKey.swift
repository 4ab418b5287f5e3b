import JSONWebToken
import Settings

/// Where the daemon's key comes from: `JWT_SECRET`, else `jwt.secret`, else the file that `jwt.secret_file` names.
enum SigningKey {
    /// What stands in for a key while the rest of a configuration without one is searched for mistakes.
    static let none = HMACKey(secret: [0])!

    /// - Returns: nil where there is no key, or it can't be had; which is then reported.
    static func read(
        _ settings: SettingsReader, readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> HMACKey? {
        let jwt = settings.root.section("jwt")
        var secret: String?
        var secretFile: String?
        jwt.read("secret", .secret, into: &secret)
        jwt.read("secret_file", .absolutePath, into: &secretFile)
        if jwt.has("secret"), jwt.has("secret_file") {
            jwt.report("secret_file", "stands beside jwt.secret", accepted: "one of the two")
        }
        if let variable = settings.variable("JWT_SECRET") { return HMACKey(secret: Array(variable.utf8)) }
        if let secret { return HMACKey(secret: Array(secret.utf8)) }
        if let secretFile { return key(inFile: secretFile, jwt, readFile) }
        if !jwt.has("secret"), !jwt.has("secret_file") {
            settings.report(
                variable: "JWT_SECRET", "no key to verify tokens with",
                accepted: """
                    the secret that signs them, in this variable, in jwt.secret or in the file that jwt.secret_file names \
                    (a new one: openssl rand -base64 32)
                    """)
        }
        return nil
    }

    private static func key(
        inFile path: String, _ jwt: Section, _ readFile: (String) throws(InvalidConfiguration) -> [UInt8]
    ) -> HMACKey? {
        do {
            var bytes = try readFile(path)
            // Editors, and `openssl rand -base64 32 > file`, end a file with a newline that nobody means.
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            if let key = HMACKey(secret: bytes) { return key }
            jwt.report("secret_file", "names \(path), which is empty", accepted: "a file with the secret on its one line")
        } catch {
            for mistake in error.mistakes { jwt.report("secret_file", "names \(path), which \(mistake.found)", accepted: mistake.accepted) }
        }
        return nil
    }
}
