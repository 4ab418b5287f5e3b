import Bytes
import Foundation
import PolicyProtocol

/// The tokens of a file, one a line.
struct TokenFile {
    let tokens: [Substring]

    init(_ path: String) throws {
        tokens = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    }

    /// A CHECK a token, as a proxy would send it; the id is filled in for each use.
    ///
    /// - Parameter areForged: whether the signatures are spoilt.
    func checks(areForged: Bool) throws -> [[UInt8]] {
        try tokens.map { token in
            let value = Array("Bearer \(areForged ? Self.forged(token) : String(token))".utf8)
            let buffer = ByteBuffer(capacity: 2048)
            let (method, authority, target) = (Array("GET".utf8), Array("localhost:3000".utf8), Array("/api/projects".utf8))
            let (peer, name) = (Array("127.0.0.1".utf8), Array("authorization".utf8))
            var writer = CheckWriter(
                id: 0, method: method.span, scheme: .http, authority: authority.span, target: target.span,
                peerAddress: peer.span, peerPort: 40_000, to: buffer, maximumFrameBytes: ProtocolLimits.defaultFrameBytes)
            writer.header(name: name.span, value: value.span)
            try writer.finish()
            return buffer.bytes.array
        }
    }

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
