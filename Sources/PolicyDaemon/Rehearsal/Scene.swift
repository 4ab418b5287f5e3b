import JSON
import Policy

/// A request, and everything that a daemon would have to look up to judge it.
public struct Scene: Sendable {
    /// As whom the request is made.
    public enum Credential: Sendable {
        /// As nobody, unless its headers say otherwise.
        case none
        /// Verified with the configuration's keys.
        case token(String)
        /// Looked up in the configuration's file.
        case apiKey(String)
        /// What a token of an issuer says, which need not be signed.
        ///
        /// - Parameter issuer: the operator's name for it; nil: the one that `iss` names, or the only one.
        case claims(JSONObject, issuer: String?)
    }

    public var method = "GET"
    public var host = "localhost"
    /// Path and perhaps query, in the proxy's normal form.
    public var target = "/"
    public var headers: [(name: String, value: String)] = []
    public var clientAddress = "127.0.0.1"
    /// What the client has shown, and the proxy has verified.
    public var certificate: ClientCertificate?
    public var credential = Credential.none
    /// By the names of limits, how much of each was used before the request: in the current window or, where there is none, a moment ago.
    public var used: [String: Int] = [:]
    /// Whether the token is revoked.
    public var isRevoked = false
    public var nowUnixMilliseconds: Int64

    public init(nowUnixMilliseconds: Int64) { self.nowUnixMilliseconds = nowUnixMilliseconds }
}

extension Scene {
    /// The request as it carries this credential.
    func request(carrying credential: String?, at place: CredentialSource?) -> Request {
        let request = Request(method: method, host: host, target: target, headers: headers, clientAddress: clientAddress, certificate: certificate)
        guard let credential, let place else { return request }
        return request.carrying(credential, at: place)
    }
}

/// A scene that no daemon of the configuration could come to: what was found and what is accepted.
public struct UnfitScene: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
