import Foundation

/// A certificate authority of a test's own, made by the openssl command in a directory that goes with it.
public final class TestAuthority: Sendable {
    public let directory: URL
    /// The authority's certificate.
    public var file: String { path("ca.pem") }

    public init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "gatehouse-ca-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=test authority", "-keyout", path("ca.key"), "-out", file)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    public func path(_ name: String) -> String { directory.appending(path: name).path }

    /// Issues a certificate for names such as `DNS:localhost,IP:127.0.0.1`, and returns where it and its key are.
    public func issue(_ name: String, for subjects: String) throws -> (certificate: String, key: String) {
        let (certificate, key) = (path("\(name).pem"), path("\(name).key"))
        try openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(name)", "-keyout", key,
            "-out", path("\(name).csr"))
        try Data("subjectAltName=\(subjects)\n".utf8).write(to: directory.appending(path: "\(name).ext"))
        try openssl(
            "x509", "-req", "-in", path("\(name).csr"), "-CA", file, "-CAkey", path("ca.key"), "-CAcreateserial", "-days",
            "2", "-extfile", path("\(name).ext"), "-out", certificate)
        return (certificate, key)
    }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
    }
}
