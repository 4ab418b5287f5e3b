import Foundation
import JSONWebToken
import Testing

@testable import KeySources

@Suite struct `A keys file` {
    private let directory: Directory

    init() throws { directory = try Directory() }

    /// A keeper of `text` in the file `keys`, of which one look is over.
    private func keep(_ text: String) throws -> Keeping {
        try Keeping([.file("corporate", path: directory.write(text, to: "keys"))])
    }

    /// Has the file looked at once more.
    private func look(_ kept: Keeping) async throws {
        let before = kept.keeper.status(0).fetches
        kept.advance(seconds: 1)
        try await kept.waitForFetches(before + 1)
    }

    @Test func `is there from the start, as a set or as PEM`() throws {
        let kept = try keep(KeyTexts.set("a", "b"))
        #expect(kept.ids() == ["a", "b"])
        #expect(kept.keeper.version == 1)
        #expect(kept.log.lines == ["notice: keys of corporate: 2 loaded (\"a\", \"b\") from \(directory.path("keys"))"])
        #expect(try keep(KeyTexts.pem).ids() == [""])
    }

    @Test(arguments: [("", "keys"), ("not a key", "keys"), ("{}", "keys"), (KeyTexts.set("a"), "missing"), (KeyTexts.set("a"), ".")])
    func `that is wrong or missing at the start is an error of the start`(_ text: String, _ name: String) throws {
        try directory.write(text, to: "keys")
        let path = directory.path(name)
        #expect { try Keeping([.file("corporate", path: path)]) } throws: { "\($0)".hasPrefix("the keys of corporate: ") }
    }

    @Test func `is read again when it was replaced by a rename`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try directory.replace("keys", with: KeyTexts.set("b"))
        try await look(kept)
        #expect(kept.ids() == ["b"])
        #expect(kept.keeper.version == 2)
    }

    @Test func `is read again when it was written in place, in the same tick and with the same length too`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        for id in ["b", "c", "d"] {
            try directory.write(KeyTexts.set(id), to: "keys")
            try await look(kept)
            #expect(kept.ids() == [id])
        }
        #expect(kept.keeper.version == 4)
    }

    @Test func `that has the same bytes as before changes nothing`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try directory.replace("keys", with: KeyTexts.set("a"))
        try await look(kept)
        #expect(kept.keeper.version == 1)
        #expect(kept.log.lines.count == 1)
    }

    @Test func `that is truncated, wrong or gone leaves the last good keys, and says so once`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try directory.write("", to: "keys")
        try await look(kept)
        try await look(kept)
        try directory.write("{\"keys\": [", to: "keys")
        try await look(kept)
        try FileManager.default.removeItem(atPath: directory.path("keys"))
        try await look(kept)
        #expect(kept.ids() == ["a"])
        #expect(kept.keeper.version == 1)
        #expect(kept.log.lines.count == 2)
        #expect(kept.log.lines.last?.hasPrefix("warning: keys of corporate from \(directory.path("keys")) can't be refreshed: ") == true)
        #expect(kept.log.lines.last?.hasSuffix("; the last good ones stay, from 1 s ago") == true)
        let status = kept.keeper.status(0)
        #expect(status.isFailing && status.isAvailable)
        #expect(status.ageSeconds == 4)

        try directory.write(KeyTexts.set("a"), to: "keys")
        try await look(kept)
        #expect(kept.keeper.version == 1)
        #expect(kept.log.lines.last?.hasPrefix("notice: keys of corporate: unchanged from ") == true)
        #expect(kept.keeper.status(0).ageSeconds == 0)
    }

    @Test func `longer than may be leaves the last good keys`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try directory.write(KeyTexts.set("b") + String(repeating: " ", count: 1 << 20), to: "keys")
        try await look(kept)
        #expect(kept.ids() == ["a"])
        #expect(kept.log.lines.last?.contains("is longer than the 1048576 bytes that are accepted") == true)
    }

    @Test func `is looked at at once for a key that it lacks`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try await kept.waitForFetches(1)
        try directory.replace("keys", with: KeyTexts.set("b"))
        let before = kept.keeper.version
        kept.keeper.requestRefresh(of: 0)
        try await wait("new keys") { kept.keeper.version > before }
        #expect(kept.ids() == ["b"])
    }

    @Test func `stays fresh in the status while nothing changes`() async throws {
        let kept = try keep(KeyTexts.set("a"))
        try await look(kept)
        #expect(kept.keeper.status(0).ageSeconds == 0)
        #expect(kept.keeper.status(0).failures == 0)
    }
}

@Suite struct `Fixed keys` {
    @Test func `are there and never fetched`() throws {
        let kept = try Keeping([.fixed("own", KeySet(VerificationKey(secret: [1, 2, 3], id: "s")))])
        #expect(kept.ids() == ["s"])
        kept.keeper.requestRefresh(of: 0)
        #expect(!kept.keeper.isFetching(0))
        #expect(kept.keeper.status(0) == SourceStatus(name: "own", isAvailable: true, isFailing: false, ageSeconds: nil, fetches: 0, failures: 0))
        #expect(kept.keeper.apiKeys == nil && kept.keeper.apiKeyStatus == nil)
    }
}

@Suite struct `API keys` {
    private let directory: Directory

    init() throws { directory = try Directory() }

    private func text(_ subject: String) -> String {
        // SHA-256 of "abc".
        #"{"keys":[{"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","subject":"\#(subject)"}]}"#
    }

    private func subject(_ kept: Keeping) -> String? { kept.keeper.apiKeys?.find(Array("abc".utf8).span)?.subject }

    private func look(_ kept: Keeping) async throws {
        let before = try #require(kept.keeper.apiKeyStatus).fetches
        kept.advance(seconds: 1)
        try await wait("look") { kept.keeper.apiKeyStatus!.fetches > before }
        // A look is counted as it begins: the next one begins after its end.
        kept.advance(seconds: 1)
        try await wait("look") { kept.keeper.apiKeyStatus!.fetches > before + 1 }
    }

    @Test func `follow their file, and outlive its mistakes`() async throws {
        let path = try directory.write(text("one"), to: "keys")
        let kept = try Keeping([], apiKeys: APIKeySource(path: path))
        #expect(subject(kept) == "one")
        #expect(kept.keeper.version == 1)
        try directory.replace("keys", with: text("two"))
        try await look(kept)
        #expect(subject(kept) == "two")
        #expect(kept.keeper.version == 2)
        try directory.write("{\"keys\": [\n1]}", to: "keys")
        try await look(kept)
        #expect(subject(kept) == "two")
        #expect(kept.log.lines.last?.contains("keys[0] is no object; the last good ones stay") == true)
        try directory.write(text("three"), to: "keys")
        try await look(kept)
        #expect(subject(kept) == "three")
        #expect(kept.log.lines.last?.hasPrefix("notice: API keys: 1 loaded from \(path), back after ") == true)
    }

    @Test func `that are wrong at the start are an error of the start`() throws {
        let path = try directory.write("{}", to: "keys")
        #expect(throws: UnusableKeySource("the API keys: keys is no array")) { try Keeping([], apiKeys: APIKeySource(path: path)) }
    }
}
