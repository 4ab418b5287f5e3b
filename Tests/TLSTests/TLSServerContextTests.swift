import Foundation
import TestSupport
import Testing

@testable import TLS

@Suite struct `A TLS server's context` {
    private let authority: TestAuthority
    private let tickets = TicketKeys(nowMilliseconds: { 0 })

    init() throws { authority = try TestAuthority() }

    private func settings(_ identities: (certificate: String, key: String)...) -> TLSServerSettings {
        TLSServerSettings(certificates: identities.map { CertificateFiles(certificate: $0.certificate, key: $0.key) })
    }

    @Test func `knows the names of its certificates`() throws {
        let context = try TLSServerContext(
            settings(authority.issue("a", for: "DNS:a.test,DNS:*.b.test,IP:127.0.0.1"), authority.issue("c", for: "URI:spiffe://c,DNS:c.test")),
            tickets: tickets)
        for name in ["a.test", "x.b.test", "c.test"] { #expect(context.hasCertificate(for: name), "\(name)") }
        for name in ["a", "b.test", "127.0.0.1", "spiffe://c"] { #expect(!context.hasCertificate(for: name), "\(name)") }
    }

    @Test func `says what is wrong with its files`() throws {
        let (first, second) = try (authority.issue("first", for: "DNS:a"), authority.issue("second", for: "DNS:b"))
        let broken = authority.path("broken.pem")
        try Data("no certificate".utf8).write(to: URL(filePath: broken))
        var askingWithoutAuthorities = settings(first)
        askingWithoutAuthorities.clientCertificates = .init(authoritiesFile: broken, isRequired: true)
        let (half, whole) = (authority.path("half.pem"), try Data(contentsOf: URL(filePath: authority.file)))
        try (whole + Data("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n".utf8)).write(to: URL(filePath: half))
        var askingByHalf = settings(first)
        askingByHalf.clientCertificates = .init(authoritiesFile: half, isRequired: true)
        var askingNobody = settings(first)
        askingNobody.clientCertificates = .init(authoritiesFile: "/nowhere.pem", isRequired: false)
        for (settings, message) in [
            (settings(), "a server needs a certificate"),
            (settings((broken, first.key)), "cannot read the certificate in \(broken): "),
            (settings(first, (second.certificate, broken)), "cannot read the key in \(broken): "),
            (settings((first.certificate, second.key)), "cannot read the key in \(second.key): key values mismatch"),
            (askingWithoutAuthorities, "cannot read the authorities in \(broken): "),
            (askingByHalf, "cannot read the authorities in \(half): "),
            (askingNobody, "cannot read the authorities in /nowhere.pem: "),
        ] {
            let failure = #expect(throws: TLSFailure.self) { try TLSServerContext(settings, tickets: tickets) }
            #expect(failure?.description.hasPrefix(message) == true, "\(failure?.description ?? "")")
        }
    }

    @Test func `reads its clients' authorities once`() throws {
        // What has been read from a pipe is not there a second time.
        let pipe = authority.path("authorities.pipe")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let text = try Data(contentsOf: URL(filePath: authority.file))
        let writer = Thread { try? text.write(to: URL(filePath: pipe), options: []) }
        writer.start()
        var asking = settings(try authority.issue("first", for: "DNS:a"), try authority.issue("second", for: "DNS:b"))
        asking.clientCertificates = .init(authoritiesFile: pipe, isRequired: true)
        _ = try TLSServerContext(asking, tickets: tickets)
    }
}
