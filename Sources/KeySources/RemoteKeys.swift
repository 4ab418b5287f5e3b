import JSON
import JSONWebToken

/// Keys that are fetched: from where, and how the answers are read. It fetches nothing itself.
struct RemoteKeys: Sendable, Hashable {
    /// Of the JWK Set or, with an issuer, of its discovery document.
    let address: KeyAddress
    let issuer: String?
    let caFile: String?
    let allowsInsecure: Bool

    /// What an answer has come to.
    enum Step {
        case fetch(KeyAddress)
        case keys([UInt8], Freshness)
    }

    /// Reads the answer that came from `address`: the discovery document comes first, where there is one.
    func read(_ answer: FetchedAnswer, from address: KeyAddress) throws(UnusableKeySource) -> Step {
        guard answer.status == 200 else {
            let redirect = (300..<400).contains(answer.status) ? " (a redirect, which is not followed: give the address itself)" : ""
            throw UnusableKeySource("\(address) answered \(answer.status)\(redirect), and only 200 is accepted")
        }
        guard let issuer, address == self.address else { return .keys(answer.body, answer.freshness) }
        return .fetch(try keysAddress(inDocument: answer.body, of: issuer))
    }

    /// A symmetric key admits nothing: what can be fetched is public, and whoever has such a key can sign with it.
    static func parse(_ bytes: [UInt8]) throws(UnusableKeySource) -> KeySet {
        let keys: KeySet
        do { keys = try KeySet(jwks: bytes) } catch { throw UnusableKeySource("\(error)") }
        let asymmetric = keys.narrowed(to: Set(SignatureAlgorithm.allCases).subtracting([.hs256, .hs384, .hs512]))
        guard asymmetric.keys.contains(where: { !$0.algorithms.isEmpty }) else {
            throw UnusableKeySource("none of its \(keys.keys.count) keys is for a public-key signature: a JWK Set with at least one such is accepted")
        }
        return asymmetric
    }

    private func keysAddress(inDocument bytes: [UInt8], of issuer: String) throws(UnusableKeySource) -> KeyAddress {
        let document: JSONValue
        do { document = try JSONValue.parse(bytes, maximumBytes: FetchedAnswer.maximumBytes) } catch {
            throw UnusableKeySource("\(address) is no discovery document: \(error)")
        }
        // Otherwise one issuer could speak for another (OpenID Connect Discovery 1.0 §4.3).
        guard let named = document.object?["issuer"]?.string, named.utf8.elementsEqual(issuer.utf8) else {
            let found = document.object?["issuer"]?.string.map { "names the issuer \($0.debugDescription)" } ?? "names no issuer"
            throw UnusableKeySource("\(address) \(found): only \(issuer.debugDescription) is accepted")
        }
        guard let text = document.object?["jwks_uri"]?.string else { throw UnusableKeySource("\(address) has no jwks_uri") }
        // What came over https must not lead to anything less.
        let admission: KeyAddress.Admission = allowsInsecure ? .anyHTTP : address.isHTTPS ? .nothing : .loopbackHTTP
        do { return try KeyAddress(text, admitting: admission) } catch {
            throw UnusableKeySource("the jwks_uri of \(address): \(error)")
        }
    }
}
