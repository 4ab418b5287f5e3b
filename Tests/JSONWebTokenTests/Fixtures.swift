import Foundation
import JSON

@testable import JSONWebToken

let now = 1_732_017_570.0

/// A file of the folder `Keys`, whose keys were made for these tests and sign nothing else.
func fixture(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Keys/\(name)")))
}

func decode(_ text: some StringProtocol) -> [UInt8]? { Base64URL.decode(Array(text.utf8).span) }

func json(_ text: String) throws -> JSONObject? { try JSONValue.parse(Array(text.utf8).span).object }

/// A token of exactly these texts, signed by `algorithm`, whatever the header says.
func token(
    header: String, payload: String = "{}", signedWith key: PrivateKey, _ algorithm: SignatureAlgorithm
) throws -> String {
    try TokenSigner.sign(header: Array(header.utf8), payload: Array(payload.utf8), with: key, algorithm)
}

extension TokenVerifier {
    /// A verifier for one issuer.
    convenience init(_ keys: KeySet, issuer: String? = nil, _ requirements: TokenRequirements = TokenRequirements()) {
        self.init([TrustedIssuer(name: "one", issuer: issuer, keys: keys, requirements: requirements)])
    }

    func refusal(_ token: String, now: Double = now) -> TokenRefusal? {
        do throws(TokenRefusal) {
            _ = try verify(Array(token.utf8).span, nowUnixSeconds: now)
            return nil
        } catch {
            return error
        }
    }
}
