import ArgumentParser
import COpenSSL
import Foundation
import JSON
import JSONWebToken

/// What nobody who verifies HS256 gets around: OpenSSL's HMAC over each token and one parse of its claims, and nothing else. Beside it
/// what it takes us to verify the token, in this process: what a decision takes besides is left out.
struct ReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference", abstract: "Measure HMAC-SHA256 and JSON alone, and the verification of tokens.", shouldDisplay: false)

    @Option(help: "A file with HS256 tokens, one a line.") var tokens: String
    @Option(help: "A file that holds their key, as JWK.") var key: String
    @Option(help: "How often each is taken.") var rounds = 50

    private struct Parts {
        let signed: [UInt8]
        let claims: [UInt8]
    }

    func run() throws {
        let parts = try TokenFile(tokens).tokens.map(Self.parts)
        let authenticator = Authenticator(secret: Array("a secret of more than thirty-two bytes".utf8))
        let hmac = try measure(parts) { authenticator.authenticate($0.signed) }
        let json = try measure(parts) { _ = try JSONValue.parse($0.claims) }
        let keys = try KeySet(Array(Data(contentsOf: URL(fileURLWithPath: key)))).narrowed(to: [.hs256])
        let verifier = TokenVerifier([TrustedIssuer(name: "measured", keys: keys)])
        let now = Date().timeIntervalSince1970
        let verification = try measure(TokenFile(tokens).texts(areForged: false)) { _ = try verifier.verify($0.span, nowUnixSeconds: now) }
        print("HMAC-SHA256 ns: \(hmac)")
        print("JSON ns: \(json)")
        print("verification ns: \(verification)")
    }

    private func measure<Part>(_ parts: [Part], _ body: (Part) throws -> Void) throws -> Int {
        for part in parts { try body(part) }
        let start = ProcessorTime.nanosecondsOfThisThread()
        for _ in 0..<rounds {
            for part in parts { try body(part) }
        }
        return Int(ProcessorTime.nanosecondsOfThisThread() - start) / (rounds * parts.count)
    }

    private static func parts(_ token: Substring) throws -> Parts {
        let segments = token.split(separator: ".")
        guard segments.count == 3 else { throw ValidationError("not a token: \(token)") }
        var encoded = String(segments[1]).replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        encoded += String(repeating: "=", count: (4 - encoded.utf8.count % 4) % 4)
        guard let claims = Data(base64Encoded: encoded) else { throw ValidationError("not a token: \(token)") }
        return Parts(signed: Array("\(segments[0]).\(segments[1])".utf8), claims: Array(claims))
    }
}

/// HMAC-SHA256 as cheap as OpenSSL has it: fetched once, its key set up once.
@safe private final class Authenticator {
    private let context: OpaquePointer
    private var code = [UInt8](repeating: 0, count: 32)

    init(secret: [UInt8]) {
        let algorithm = unsafe EVP_MAC_fetch(nil, "HMAC", nil)
        defer { unsafe EVP_MAC_free(algorithm) }
        var digest = Array("SHA256".utf8CString)
        guard let context = unsafe EVP_MAC_CTX_new(algorithm),
            unsafe digest.withUnsafeMutableBufferPointer({ name in
                let list = unsafe [
                    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.baseAddress, 0), OSSL_PARAM_construct_end(),
                ]
                return unsafe EVP_MAC_init(context, secret, secret.count, list)
            }) == 1
        else { fatalError("OpenSSL has no HMAC-SHA256") }
        unsafe self.context = context
    }

    deinit { unsafe EVP_MAC_CTX_free(context) }

    func authenticate(_ message: [UInt8]) {
        var length = 0
        let isDone = unsafe EVP_MAC_init(context, nil, 0, nil) == 1 && EVP_MAC_update(context, message, message.count) == 1
            && EVP_MAC_final(context, &code, &length, code.count) == 1
        precondition(isDone && length == code.count, "OpenSSL makes no HMAC-SHA256")
    }
}
