import JSON
import JSONWebToken

extension APIKeys {
    /// Reads `{"keys": [{"sha256": "64 hexadecimal digits", "subject": "svc-billing", "attributes": {"plan": "gold"}}]}`.
    /// `attributes` may be left out, and nothing else may be there: a misspelled member would silently grant or deny.
    ///
    /// - Throws: ``UnusableKeySource``, which says where and what, and never what a key's digest is.
    convenience init(reading bytes: [UInt8], maximumCount: Int) throws(UnusableKeySource) {
        let value: JSONValue
        do { value = try JSONValue.parse(bytes, maximumBytes: APIKeySource.maximumBytes) } catch {
            throw UnusableKeySource("\(TextPosition(of: error.offset, in: bytes)): \(error.message)")
        }
        guard case .object(let file) = value else { throw UnusableKeySource("no JSON object: {\"keys\": […]} is accepted") }
        try Self.refuseOthers(than: ["keys"], in: file, at: "the file")
        guard case .array(let entries)? = file["keys"] else { throw UnusableKeySource("keys is no array") }
        guard entries.count <= maximumCount else {
            throw UnusableKeySource("keys has \(entries.count) entries, more than the \(maximumCount) that are accepted")
        }
        var keys: [SHA256Digest: APIKey] = [:]
        keys.reserveCapacity(entries.count)
        for (index, entry) in entries.enumerated() {
            let (digest, key) = try Self.read(entry, at: "keys[\(index)]")
            guard keys.updateValue(key, forKey: digest) == nil else {
                throw UnusableKeySource("keys[\(index)].sha256 is that of an earlier entry: each key has one")
            }
        }
        self.init(keys)
    }

    private static func read(_ entry: JSONValue, at place: String) throws(UnusableKeySource) -> (SHA256Digest, APIKey) {
        guard case .object(let entry) = entry else { throw UnusableKeySource("\(place) is no object") }
        try refuseOthers(than: ["sha256", "subject", "attributes"], in: entry, at: place)
        guard let digits = entry["sha256"]?.string, let digest = SHA256Digest(hexadecimal: digits) else {
            throw UnusableKeySource("\(place).sha256 is not 64 hexadecimal digits, the SHA-256 of the key")
        }
        guard let subject = entry["subject"]?.string, !subject.isEmpty else {
            throw UnusableKeySource("\(place).subject is no text, or an empty one")
        }
        let attributes = entry["attributes"] ?? .object(JSONObject())
        guard case .object(let attributes) = attributes else { throw UnusableKeySource("\(place).attributes is no object") }
        guard attributes["sub"] == nil else { throw UnusableKeySource("\(place).attributes.sub is there: it stands in subject") }
        return (digest, APIKey(id: digits.prefix(16).lowercased(), subject: subject, attributes: attributes))
    }

    private static func refuseOthers(
        than accepted: [String], in object: JSONObject, at place: String
    ) throws(UnusableKeySource) {
        for member in object.members where !accepted.contains(where: { $0.utf8.elementsEqual(member.name.utf8) }) {
            throw UnusableKeySource(
                "\(place) has the member \(member.name.debugDescription): \(accepted.joined(separator: ", ")) are accepted")
        }
    }
}

/// Where a byte stands, as editors count: from 1, columns in bytes.
private struct TextPosition: CustomStringConvertible {
    let line: Int
    let column: Int

    init(of offset: Int, in bytes: [UInt8]) {
        let before = bytes.prefix(offset)
        line = before.count { $0 == UInt8(ascii: "\n") } + 1
        column = offset - (before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0) + 1
    }

    var description: String { "line \(line), column \(column)" }
}
