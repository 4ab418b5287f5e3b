import Bytes
import Foundation
import JSON
import KeySources
import Policy
import Testing

@testable import JSONWebToken
@testable import PolicyDaemon

/// An authenticator whose keys, and API keys, are in files.
private final class KeyFiles {
    private let directory = URL(filePath: NSTemporaryDirectory()).appending(path: "gatehouse-test-\(UUID())")
    let keeper: KeyKeeper
    let authenticator: Authenticator

    /// - Parameter interval: how often the file may be looked at for a key that nobody knows, in seconds.
    init(keys: [String], apiKeys: String? = nil, interval: Int = 0) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let apiKeyFile = directory.appending(path: "api-keys.json")
        if let apiKeys { try Data(apiKeys.utf8).write(to: apiKeyFile) }
        try Data(Self.jwks(keys).utf8).write(to: directory.appending(path: "keys.json"))
        keeper = try KeyKeeper(
            [.file("ours", path: directory.appending(path: "keys.json").path, unknownKeyIntervalSeconds: interval)],
            apiKeys: apiKeys.map { _ in APIKeySource(path: apiKeyFile.path) }, logger: silent)
        authenticator = Authenticator(
            Authentication(
                issuers: [Authentication.Issuer(name: "ours", issuer: nil, algorithms: nil, requirements: TokenRequirements())],
                keeper: keeper, subjectClaims: [ClaimPath(name: "userId")], cacheCapacity: 64))
    }

    deinit {
        keeper.stop()
        try? FileManager.default.removeItem(at: directory)
    }

    func replace(_ keys: [String]) throws {
        try Data(Self.jwks(keys).utf8).write(to: directory.appending(path: "keys.json"), options: .atomic)
    }

    private static func jwks(_ names: [String]) -> String { #"{"keys":[\#(names.map(jwk).joined(separator: ","))]}"# }

    static func jwk(_ name: String) -> String {
        #"{"kty":"oct","kid":"\#(name)","alg":"HS256","k":"\#(Base64URL.encode(Array("the secret of the key \(name), 32 bytes and more".utf8)))"}"#
    }

    func outcome(_ credential: String, _ kind: CredentialKind = .token) -> String {
        let bytes = Array(credential.utf8)
        if let known = authenticator.recall(bytes.span, kind, nowUnixMilliseconds: now) { return "recalled \(name(known))" }
        return switch authenticator.authenticate(bytes.span, kind, nowUnixMilliseconds: now) {
        case .verified(let known): "verified \(name(known))"
        case .refused(let reason): "\(reason.text)"
        case .keysUnavailable: "keys-unavailable"
        }
    }

    private func name(_ known: KnownIdentity) -> String { String(decoding: known.identity.subject ?? [], as: UTF8.self) }
}

private func signed(_ user: String, with key: String) throws -> String {
    try token(user, signedWith: PrivateKey(Array(KeyFiles.jwk(key).utf8)))
}

@Suite struct `An authenticator` {
    @Test func `forgets whom it knew by a key that is gone, at once`() async throws {
        let files = try KeyFiles(keys: ["one"])
        let (old, new) = try (signed("a", with: "one"), signed("b", with: "two"))
        #expect(files.outcome(old) == "verified a")
        #expect(files.outcome(old) == "recalled a")
        try files.replace(["two"])
        #expect(files.outcome(new) == "keys-unavailable", "the file is looked at, and nobody knows yet")
        try files.keeper.start()
        try await wait("look at the file") { !files.keeper.isFetching(0) }
        #expect(files.outcome(new) == "verified b")
        #expect(files.outcome(new) == "recalled b")
        #expect(files.outcome(old) != "recalled a")
        try await wait("look at the file") { !files.keeper.isFetching(0) }
        #expect(files.outcome("\(old)") != "verified a")
    }

    @Test func `refuses a key that nobody knows once it has been looked for`() async throws {
        // Once in an hour: otherwise each further token would have the file looked at again.
        let files = try KeyFiles(keys: ["one"], interval: 3600)
        let token = try signed("a", with: "two")
        #expect(files.outcome(token) == "keys-unavailable")
        #expect(try files.outcome(signed("b", with: "one")) == "verified b", "the others go on")
        try files.keeper.start()
        try await wait("look at the file") { !files.keeper.isFetching(0) }
        #expect(files.outcome(token) == "token-key-unknown")
        #expect(try files.outcome(signed("b", with: "one")) == "recalled b")
    }

    @Test func `knows API keys by their digests, each with its subject and attributes`() throws {
        let key = "a key of more than sixteen bytes"
        // printf 'a key of more than sixteen bytes' | sha256sum
        let digest = "e78eb98c8cbb9fb1cc4c7bdc901a743a581c5401c3152452cdfe224d30609a00"
        let files = try KeyFiles(keys: ["one"], apiKeys: #"{"keys":[{"sha256":"\#(digest)","subject":"svc","attributes":{"plan":"gold"}}]}"#)
        #expect(files.outcome(key, .apiKey) == "verified svc")
        #expect(files.outcome(key, .apiKey) == "recalled svc")
        #expect(files.outcome(key) == "token-malformed", "as a token it is none")
        #expect(files.outcome(key + "x", .apiKey) == "api-key-unknown")
        #expect(files.outcome("", .apiKey) == "api-key-unknown")
        let bytes = Array(key.utf8)
        let claims = files.authenticator.recall(bytes.span, .apiKey, nowUnixMilliseconds: now)?.identity.claims
        #expect(claims?["plan"]?.string == "gold")
        #expect(claims?["sub"]?.string == "svc")
    }

    @Test func `without a file of API keys can't say whose one is`() throws {
        #expect(try KeyFiles(keys: ["one"]).outcome("a key of more than sixteen bytes", .apiKey) == "keys-unavailable")
    }
}
