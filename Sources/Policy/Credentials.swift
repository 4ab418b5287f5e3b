import Bytes

/// Where a request may carry a credential.
public enum CredentialSource: Sendable, Hashable {
    /// A header; where it has a scheme (RFC 9110 §11.4), the credential is what follows that. The name is in lower case.
    case header(name: String, scheme: String?)
    case cookie(name: String)
    /// A parameter of the query.
    case query(name: String)
}

/// What a credential claims to be.
public enum CredentialKind: Sendable, Hashable {
    case token
    case apiKey
}

/// A credential that a request carries.
public struct Credential: Sendable, Equatable {
    public let kind: CredentialKind
    /// Where it lies in the request's bytes.
    public let range: Range<Int>
}

/// What a request carries of credentials.
public enum Credentials: Sendable, Equatable {
    case none
    case one(Credential)
    /// Two of them, which two readers could understand differently.
    case repeated
}

/// Where credentials are looked for.
public final class CredentialRules: Sendable {
    let places: [Place]
    /// Whether one may stand in the query.
    let includesQuery: Bool
    /// Where cookies that may be one stand; nil where none may be.
    let cookieHeader: [UInt8]?
    /// The headers that have to be known to find one, in lower case.
    public let wantedHeaders: [String]
    /// The headers that carry nothing but a credential: no upstream is to see them.
    let credentialHeaders: [[UInt8]]

    public init(tokens: [CredentialSource] = [.header(name: "authorization", scheme: "Bearer")], apiKeys: [CredentialSource] = []) {
        let places = tokens.map { Place(.token, $0) } + apiKeys.map { Place(.apiKey, $0) }
        var wanted: [String] = []
        var carrying: [[UInt8]] = []
        for place in places where !place.header.isEmpty {
            let name = String(decoding: place.header, as: UTF8.self)
            if !wanted.contains(name) { wanted.append(name) }
            if !place.isCookie, !carrying.contains(place.header) { carrying.append(place.header) }
        }
        self.places = places
        includesQuery = places.contains(where: \.isParameter)
        cookieHeader = places.first(where: \.isCookie)?.header
        wantedHeaders = wanted
        credentialHeaders = carrying
    }

    /// Where a credential of this kind is looked for first; nil where none is.
    public func firstSource(of kind: CredentialKind) -> CredentialSource? { places.first { $0.kind == kind }?.source }

    /// Looks in every place. The same credential twice is one; two that differ, and one place filled twice, are refused.
    public func find(_ request: borrowing RequestView) -> Credentials {
        let bytes = request.bytes
        var found: Credential?
        for index in places.indices {
            switch places[index].look(in: request.parts, bytes) {
            case .nothing: continue
            case .repeated: return .repeated
            case .one(let range):
                let credential = Credential(kind: places[index].kind, range: range)
                guard let other = found else {
                    found = credential
                    continue
                }
                guard other.kind == credential.kind, bytes.extracting(other.range).equals(bytes.extracting(range)) else {
                    return .repeated
                }
            }
        }
        return found.map(Credentials.one) ?? .none
    }
}
