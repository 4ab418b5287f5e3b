import Foundation
import Testing

@testable import KeySources

/// `openssl s_server` with a certificate of its own, serving the files of a directory whole, heads included.
private final class TLSServer {
    let directory: Directory
    let port: Int
    private let process: Process

    var caFile: String { directory.path("certificate.pem") }

    /// Starts it, with a certificate for 127.0.0.1, and waits until it says where it listens.
    init() async throws {
        directory = try Directory()
        let request = try Self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=test",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem", in: directory)
        try await wait("certificate") { !request.isRunning }
        process = try Self.openssl(
            "s_server", "-accept", "127.0.0.1:0", "-key", "key.pem", "-cert", "certificate.pem", "-HTTP", in: directory)
        var port: Int?
        let output = directory.url.appending(path: "s_server.out")
        try await wait("port") {
            let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
            // ACCEPT 127.0.0.1:38867
            port = text.firstMatch(of: /ACCEPT [\d.]+:(\d+)\n/).flatMap { Int($0.1) }
            return port != nil
        }
        self.port = try #require(port)
    }

    deinit { kill(process.processIdentifier, SIGKILL) }

    func serve(_ body: String, as name: String, status: String = "200 OK") throws {
        try directory.write("HTTP/1.0 \(status)\r\nCache-Control: max-age=1000\r\n\r\n\(body)", to: name)
    }

    /// Starts OpenSSL's program in a directory, which gets what it prints.
    private static func openssl(_ words: String..., in directory: Directory) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + words
        process.currentDirectoryURL = directory.url
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: directory.write("", to: "\(words[0]).out")))
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}

@Suite struct `Keys over TLS` {
    private let server: TLSServer

    init() async throws {
        server = try await TLSServer()
        try server.serve(KeyTexts.set("a"), as: "jwks")
    }

    private func keep(_ address: String, caFile: String?) async throws -> Keeping {
        let kept = try Keeping([.url("corporate", address, caFile: caFile)])
        try await kept.waitForFetches(1)
        try await wait("line") { !kept.log.lines.isEmpty }
        return kept
    }

    @Test func `come from whom the given authorities vouch for`() async throws {
        let kept = try await keep("https://127.0.0.1:\(server.port)/jwks", caFile: server.caFile)
        #expect(kept.ids() == ["a"])
    }

    @Test func `don't come from whom nobody vouches for`() async throws {
        let kept = try await keep("https://127.0.0.1:\(server.port)/jwks", caFile: nil)
        #expect(kept.keeper.keys(0) == nil)
        #expect(kept.log.lines[0].contains("certificate"), "\(kept.log.lines)")
    }

    @Test func `don't come from a certificate for another name`() async throws {
        let kept = try await keep("https://localhost:\(server.port)/jwks", caFile: server.caFile)
        #expect(kept.keeper.keys(0) == nil)
        #expect(kept.log.lines[0].contains("subject"), "\(kept.log.lines)")
    }

    @Test func `never lead to http, not even on this machine`() async throws {
        let issuer = "https://127.0.0.1:\(server.port)"
        let documents = server.directory.url.appending(path: ".well-known")
        try FileManager.default.createDirectory(at: documents, withIntermediateDirectories: true)
        let document = #"{"issuer":"\#(issuer)","jwks_uri":"http://127.0.0.1:1/jwks"}"#
        try server.serve(document, as: ".well-known/openid-configuration")
        let kept = try Keeping([.openID("corporate", issuer: issuer, caFile: server.caFile)])
        try await kept.waitForFetches(1)
        try await wait("line") { !kept.log.lines.isEmpty }
        #expect(kept.log.lines[0].contains("the jwks_uri of \(issuer)/.well-known/openid-configuration: http://127.0.0.1:1/jwks is not https"), "\(kept.log.lines)")
    }

    @Test func `need their authorities' file at the start`() {
        #expect(throws: UnusableKeySource.self) {
            try Keeping([.url("corporate", "https://127.0.0.1/jwks", caFile: "/nonexistent")])
        }
    }
}
