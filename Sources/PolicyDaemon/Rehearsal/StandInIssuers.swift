import JSON
import JSONWebToken
import KeySources
import Logging

/// The configuration's issuers with keys that are known here: so claims that nobody signed are judged by the code that judges
/// a real token, but for its signature and its header.
struct StandInIssuers {
    /// Whose tokens are accepted in place of the real ones.
    let authentication: Authentication
    private let issuers: [Authentication.Issuer]

    init(_ real: Authentication, logger: Logger) throws(UnusableKeySource) {
        var sources: [KeySource] = []
        for issuer in real.issuers {
            do throws(UnusableKey) {
                sources.append(.fixed(issuer.name, try KeySet(Self.key(of: issuer.name))))
            } catch {
                preconditionFailure("a sound key: \(error)")
            }
        }
        issuers = real.issuers
        authentication = Authentication(
            issuers: real.issuers.map { issuer in
                var requirements = issuer.requirements
                requirements.types = nil
                return Authentication.Issuer(name: issuer.name, issuer: issuer.issuer, algorithms: nil, requirements: requirements)
            },
            keeper: try KeyKeeper(sources, logger: logger), subjectClaims: real.subjectClaims, cacheCapacity: real.cacheCapacity)
    }

    /// A JWK. It is no secret: nothing but ``authentication`` takes what it signs, and no daemon has that.
    private static func key(of issuer: String) -> [UInt8] {
        Array(#"{"kty":"oct","alg":"HS256","kid":"\#(issuer)","k":"\#(String(repeating: "A", count: 43))"}"#.utf8)
    }

    /// A token that says this, and, where it says nothing of it, whose it is.
    ///
    /// - Parameter issuer: the operator's name for it; nil: the one that `iss` names, or the only one.
    /// - Throws: where it isn't clear which issuer is meant.
    func token(_ claims: JSONObject, issuer name: String?) throws(UnfitScene) -> String {
        let issuer = try issuer(name, claims["iss"]?.string)
        var claims = claims
        if claims["iss"] == nil, let name = issuer.issuer { claims = JSONObject(claims.members + [("iss", .string(name))]) }
        do throws(UnusableKey) {
            return try TokenSigner.sign(claims, with: try PrivateKey(Self.key(of: issuer.name)))
        } catch {
            preconditionFailure("a sound key: \(error)")
        }
    }

    private func issuer(_ name: String?, _ iss: String?) throws(UnfitScene) -> Authentication.Issuer {
        let accepted = issuers.isEmpty ? "none" : "one of " + issuers.map(\.name).joined(separator: ", ")
        if let name {
            guard let issuer = issuers.first(where: { $0.name == name }) else {
                throw UnfitScene("there is no issuer \(name.debugDescription); accepted is \(accepted)")
            }
            return issuer
        }
        if let iss, let issuer = issuers.first(where: { $0.issuer == iss }) { return issuer }
        guard issuers.count == 1 else { throw UnfitScene("the claims don't say by which issuer; accepted is \(accepted)") }
        return issuers[0]
    }
}
