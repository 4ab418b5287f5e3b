import Settings

extension TLSServerSettings {
    /// Reads what a listener with TLS needs. Nil where it has no certificate, which is then reported.
    ///
    /// - Parameter protocols: see ``protocols``.
    public static func read(_ tls: Section, protocols: [String]) -> TLSServerSettings? {
        let accepted = "a map of certificate files to key files, each an absolute path"
        var settings = TLSServerSettings(certificates: [])
        settings.protocols = protocols
        tls.read("minimum_version", .choice, into: &settings.minimumVersion)
        if tls.has("client_certificates") { settings.clientCertificates = .read(tls.section("client_certificates")) }
        guard tls.has("certificates") else {
            tls.report("has no certificates", accepted: accepted)
            return nil
        }
        guard let entries = tls.entries("certificates", accepted: accepted) else { return nil }
        if entries.isEmpty { tls.report("certificates", "is empty", accepted: accepted) }
        settings.certificates = entries.compactMap { entry in
            guard let certificate = entry.key(as: .absolutePath), let key = entry.value(.absolutePath) else { return nil }
            return CertificateFiles(certificate: certificate, key: key)
        }
        return settings
    }
}

extension TLSServerSettings.ClientCertificates {
    fileprivate static func read(_ clients: Section) -> Self? {
        var isRequired = true
        clients.read("required", .boolean, into: &isRequired)
        return clients.require("authorities", .absolutePath).map { Self(authoritiesFile: $0, isRequired: isRequired) }
    }
}
