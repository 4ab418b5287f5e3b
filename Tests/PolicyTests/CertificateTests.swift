import Testing

@testable import Policy

/// What is decided by a client's certificate.
@Suite struct `A certificate` {
    private static let fingerprint = String(repeating: "0a", count: 32)
    private let worker: ClientCertificate

    init() throws {
        worker = try ClientCertificate(
            subject: "CN=worker,O=Example", fingerprint: Self.fingerprint, dns: ["Worker.Example"],
            uri: ["spiffe://example/worker", "urn:second"], email: ["w@example.com"])
    }

    private func request(_ certificate: ClientCertificate?, headers: [(name: String, value: String)] = []) -> Request {
        Request(headers: headers + [("Authorization", "Bearer good")], clientAddress: "192.0.2.7", certificate: certificate)
    }

    private func decide(_ condition: CertificateCondition, _ certificate: ClientCertificate?) throws -> Decision {
        try policy { $0.certificateConditions = [condition] }.decide(request(certificate))
    }

    private func holds(_ fact: CertificateFact, _ test: ClaimCondition.Test) throws -> Bool {
        try decide(CertificateCondition(fact, test, reason: ConditionReason("not-a-worker")), worker).isAllowed
    }

    @Test func `is judged by each of its facts`() throws {
        #expect(try holds(.subject, .equals("CN=worker,O=Example")))
        #expect(try !holds(.subject, .equals("CN=worker")))
        #expect(try holds(.fingerprint, .equals(.string("0A" + String(repeating: ":0A", count: 31)))))
        #expect(try holds(.fingerprint, .equals(.string(Self.fingerprint.uppercased()))))
        #expect(try holds(.dns, .equals("WORKER.example")))
        #expect(try holds(.uri, .equals("urn:second")))
        #expect(try holds(.uri, .anyOf(["urn:first", "urn:second"])))
        #expect(try holds(.uri, .allOf(["urn:second", "spiffe://example/worker"])))
        #expect(try !holds(.uri, .allOf(["urn:second", "urn:first"])))
        #expect(try holds(.email, .exists))
        #expect(try !holds(.uri, .not(.equals("urn:second"))))
        #expect(try holds(.uri, .not(.equals("urn:first"))))
    }

    @Test func `that does not fit is forbidden by the condition's own reason, with no word of scopes`() throws {
        let decision = try decide(CertificateCondition(.uri, .equals("urn:other"), reason: ConditionReason("not-a-worker")), worker)
        #expect(decision.reasonString == "not-a-worker")
        #expect(decision.denial?.status == 403)
        #expect(decision.denial?.challenge == nil)
    }

    @Test func `that is missing is forbidden by a reason of its own, whatever is asked of it`() throws {
        for test in [ClaimCondition.Test.equals("urn:other"), .not(.equals("urn:other")), .exists, .not(.exists)] {
            let decision = try decide(CertificateCondition(.uri, test, reason: ConditionReason("not-a-worker")), nil)
            #expect(decision.reasonString == "certificate-missing")
            #expect(decision.denial?.status == 403)
        }
    }

    @Test func `is never taken from a header`() throws {
        let rules = try policy { $0.certificateConditions = [try CertificateCondition(.subject, .exists)] }
        for name in ["certificate", "certificate.subject", "ssl-client-cert", "x-forwarded-client-cert", "x-ssl-client-s-dn"] {
            #expect(rules.decide(request(nil, headers: [(name, "CN=worker,O=Example")])).reason == .certificateMissing)
        }
    }

    @Test func `can be all that a rule asks for`() throws {
        let rules = try policy {
            $0.authentication = .none
            $0.certificateConditions = [try CertificateCondition(.dns, .equals("worker.example"))]
        }
        #expect(rules.decide(Request(certificate: worker), as: nil).isAllowed)
        #expect(rules.decide(Request(), as: nil).reason == .certificateMissing)
    }

    @Test func `is what limits count by, before anybody is authenticated too`() throws {
        let limit = try limited("per-certificate", to: 1, by: [LimitKey.Part("certificate.fingerprint"), LimitKey.Part("certificate.subject")])
        for isBefore in [false, true] {
            let rules = try policy { if isBefore { $0.limitsBeforeAuthentication = [limit] } else { $0.limits = [limit] } }
            let keys = [worker, nil].map { rules.decide(request($0)).standings.map { text($0.hit.key) } }
            #expect(keys == [
                ["limit:per-certificate|certificate.fingerprint=\(Self.fingerprint)|certificate.subject=CN=worker,O=Example:"],
                ["limit:per-certificate|certificate.fingerprint|certificate.subject:"],
            ])
        }
    }

    @Test func `stands in headers, its names as a list`() throws {
        let rules = try policy {
            $0.requestHeaders = [
                try sets("x-subject", "${certificate.subject}"), try sets("x-uri", "${certificate.uri}"),
                try sets("x-fingerprint", "sha256:${certificate.fingerprint}"), try sets("x-dns", "${certificate.dns:-none}"),
            ]
        }
        let decision = rules.decide(request(worker))
        #expect(decision.requestHeader("x-subject")?.text == "CN=worker,O=Example")
        #expect(decision.requestHeader("x-uri")?.text == "spiffe://example/worker,urn:second")
        #expect(decision.requestHeader("x-fingerprint")?.text == "sha256:" + Self.fingerprint)
        #expect(decision.requestHeader("x-dns")?.text == "worker.example")
        let without = rules.decide(request(nil))
        #expect(without.requestHeader("x-subject") != nil && without.requestHeader("x-subject")?.text == nil)
        #expect(without.requestHeader("x-dns")?.text == "none")
    }

    @Test func `is read from what an operator says of one, or refused`() throws {
        let read = try ClientCertificate(["subject": "CN=a", "uri": "urn:a", "dns": .array(["A.example", "b.example"])])
        #expect(read.subject == "CN=a")
        #expect(read.names.map(\.text).sorted() == ["a.example", "b.example", "urn:a"])
        #expect(mistake { try ClientCertificate(["issuer": "x"]) }?.contains("issuer") == true)
        #expect(mistake { try ClientCertificate(["subject": 1]) } == "the certificate's subject is no text")
        #expect(mistake { try ClientCertificate(["fingerprint": "ab"]) }?.contains("64 hexadecimal digits") == true)
    }
}
