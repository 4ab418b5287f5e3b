import Foundation

/// The tokens of a file, one a line.
struct TokenFile {
    let tokens: [Substring]

    init(_ path: String) throws {
        tokens = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    }

    /// Each token's bytes.
    ///
    /// - Parameter areForged: whether the signatures are spoilt.
    func texts(areForged: Bool) -> [[UInt8]] { tokens.map { Array((areForged ? Self.forged($0) : String($0)).utf8) } }

    /// The token with another character in the middle of its signature. Not at the end, which strict base64url might refuse, and
    /// where EdDSA's numbers could become too large: either would be seen before the signature is looked at.
    private static func forged(_ token: Substring) -> String {
        var bytes = Array(token.utf8)
        let signature = (bytes.lastIndex(of: UInt8(ascii: ".")) ?? 0) + 1
        let middle = (signature + bytes.count) / 2
        bytes[middle] = bytes[middle] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        return String(decoding: bytes, as: UTF8.self)
    }
}
