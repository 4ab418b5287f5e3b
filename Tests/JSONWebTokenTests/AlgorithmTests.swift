import JSON
import Testing

@testable import JSONWebToken

@Suite struct `A token signed by` {
    struct Case: CustomTestStringConvertible {
        let algorithm: SignatureAlgorithm
        /// The file of its key; another of the same type is beside it.
        let keyName: String
        var testDescription: String { "\(algorithm.rawValue) \(keyName)" }

        var header: String { #"{"alg":"\#(algorithm.rawValue)"}"# }
        func key() throws -> PrivateKey { try PrivateKey(try fixture(keyName)) }
        func verifier() throws -> TokenVerifier { TokenVerifier(try KeySet(try fixture(keyName))) }
        func good(_ payload: String = #"{"sub":"a"}"#) throws -> String {
            try token(header: header, payload: payload, signedWith: try key(), algorithm)
        }
    }

    static let asymmetric: [Case] =
        [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512].map { Case(algorithm: $0, keyName: "rsa.jwk") } + [
            Case(algorithm: .es256, keyName: "p256.jwk"), Case(algorithm: .es384, keyName: "p384.jwk"),
            Case(algorithm: .es512, keyName: "p521.jwk"), Case(algorithm: .eddsa, keyName: "ed25519.jwk"),
            Case(algorithm: .eddsa, keyName: "ed448.jwk"),
        ]
    static let all = [.hs256, .hs384, .hs512].map { Case(algorithm: $0, keyName: "oct.jwk") } + asymmetric

    @Test func `every algorithm is among these`() { #expect(Set(Self.all.map(\.algorithm)) == Set(SignatureAlgorithm.allCases)) }

    @Test(arguments: all)
    func `the right key is accepted, time and again`(_ one: Case) throws {
        let verifier = try one.verifier()
        for number in 0..<4 {
            let bytes = Array(try one.good("{\"n\":\(number)}").utf8)
            let verified = try verifier.verify(bytes.span, nowUnixSeconds: now)
            #expect(verified.claims["n"]?.number?.integer == Int64(number))
            #expect(verifier.refusal(try one.good() + "AAAA") == .signatureInvalid)
        }
    }

    @Test(arguments: asymmetric)
    func `another key of the same type is refused`(_ one: Case) throws {
        let other = try PrivateKey(try fixture("other-\(one.keyName)"))
        #expect(try one.verifier().refusal(try token(header: one.header, signedWith: other, one.algorithm)) == .signatureInvalid)
    }

    @Test(arguments: all)
    func `its key is refused once it is forged, cut, lengthened or zero`(_ one: Case) throws {
        let verifier = try one.verifier()
        let parts = try one.good().split(separator: ".").map(String.init)
        let signature = try #require(decode(parts[2]))
        var flipped = signature
        flipped[signature.count / 2] ^= 1
        let zero = [UInt8](repeating: 0, count: signature.count)
        let full = [UInt8](repeating: 0xff, count: signature.count)
        let (short, headless) = (Array(signature.dropLast()), Array(signature.dropFirst()))
        let forgeries: [[UInt8]] = [flipped, short, headless, signature + [0], [0] + signature, [], zero, full, [0]]
        for forged in forgeries {
            #expect(verifier.refusal("\(parts[0]).\(parts[1]).\(Base64URL.encode(forged))") == .signatureInvalid)
        }
        #expect(verifier.refusal("\(parts[0]).\(Base64URL.encode(Array(#"{"sub":"b"}"#.utf8))).\(parts[2])") == .signatureInvalid)
        #expect(verifier.refusal("\(parts[0]).\(parts[1]).") == .signatureInvalid)
    }

    @Test(arguments: all)
    func `its key is refused in any other spelling`(_ one: Case) throws {
        let verifier = try one.verifier()
        let good = try one.good()
        for spelling in [good + "=", good + "==", " " + good, good + " ", good + "\n", "Bearer " + good, good + "."] {
            #expect(verifier.refusal(spelling) == .malformed, "\(spelling)")
        }
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = try #require(alphabet.firstIndex { $0 == good.last })
        let signature = try #require(decode(good.split(separator: ".")[2]))
        // The bits of the last character that no byte comes from.
        if signature.count % 3 != 0 { #expect(verifier.refusal(good.dropLast() + String(alphabet[last | 1])) == .malformed) }
        for (url, standard) in [("-", "+"), ("_", "/")] where good.contains(url) {
            #expect(verifier.refusal(good.replacing(url, with: standard)) == .malformed)
        }
    }

    /// The algorithm comes from the key: a header that names another is refused, whatever the signature.
    @Test(arguments: all)
    func `its key is refused when the header names another algorithm`(_ one: Case) throws {
        let keys = try KeySet(try fixture(one.keyName)).narrowed(to: [one.algorithm])
        let verifier = TokenVerifier(keys)
        for name in SignatureAlgorithm.allCases.map(\.rawValue) + ["none", "None", "ES256K", "Ed25519", "rs256", "HS256 "] {
            guard name != one.algorithm.rawValue else { continue }
            let forged = try token(header: "{\"alg\":\"\(name)\"}", signedWith: try one.key(), one.algorithm)
            #expect(verifier.refusal(forged) == .algorithmNotAllowed, "\(name)")
        }
    }

    @Test(arguments: ["rsa.pem", "p256.pem", "ed25519.pem", "rsa-certificate.pem"])
    func `HS256 with a public key as the secret is refused`(_ name: String) throws {
        let text = try fixture(name)
        let forged = try token(header: #"{"alg":"HS256"}"#, signedWith: try PrivateKey(secret: text), .hs256)
        #expect(TokenVerifier(try KeySet(text)).refusal(forged) == .algorithmNotAllowed)
    }

    @Test func `ES256 with a key on another curve is refused`() throws {
        let key = try PrivateKey(try fixture("p521.jwk"))
        let forged = try token(header: #"{"alg":"ES256"}"#, signedWith: key, .es512)
        #expect(TokenVerifier(try KeySet(try fixture("p521.jwk"))).refusal(forged) == .algorithmNotAllowed)
        #expect(TokenVerifier(try KeySet(try fixture("p256.jwk"))).refusal(forged) == .signatureInvalid)
    }
}

@Suite struct `A signature` {
    @Test(arguments: ["RS256", "PS256"])
    func `of RSA keeps its leading zeros`(_ name: String) throws {
        let good = String(decoding: try fixture("leading-zero-\(name).jwt"), as: UTF8.self)
        let verifier = TokenVerifier(try KeySet(try fixture("rsa.jwk")))
        #expect(verifier.refusal(good) == nil)
        let parts = good.split(separator: ".")
        let signature = try #require(decode(parts[2]))
        #expect(signature.first == 0)
        #expect(verifier.refusal("\(parts[0]).\(parts[1]).\(Base64URL.encode(Array(signature.dropFirst())))") == .signatureInvalid)
    }

    @Test(arguments: [("p256.jwk", SignatureAlgorithm.es256), ("p521.jwk", .es512)])
    func `of ECDSA is no DER, and neither half of it is zero`(_ name: String, _ algorithm: SignatureAlgorithm) throws {
        let verifier = TokenVerifier(try KeySet(try fixture(name)))
        let good = try token(header: "{\"alg\":\"\(algorithm.rawValue)\"}", signedWith: try PrivateKey(try fixture(name)), algorithm)
        let parts = good.split(separator: ".")
        let signature = try #require(decode(parts[2]))
        let half = signature.count / 2
        let zero = [UInt8](repeating: 0, count: half)
        let (r, s) = (Array(signature[..<half]), Array(signature[half...]))
        let forgeries: [[UInt8]] = [ECDSASignature.der(signature), zero + s, r + zero, zero + zero, s + r]
        for forged in forgeries {
            #expect(verifier.refusal("\(parts[0]).\(parts[1]).\(Base64URL.encode(forged))") == .signatureInvalid)
        }
    }

    @Test func `of ECDSA is the same in DER and back`() {
        for half in [32, 48, 66] {
            for first: UInt8 in [0, 1, 0x7f, 0x80, 0xff] {
                let raw = [first] + [UInt8](repeating: 0x5a, count: half - 1) + [UInt8](repeating: 0, count: half - 1) + [first]
                #expect(ECDSASignature.raw(ECDSASignature.der(raw), halfBytes: half) == raw)
            }
        }
    }
}
