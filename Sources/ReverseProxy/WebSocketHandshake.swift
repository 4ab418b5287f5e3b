import Bytes
import HTTPMessage
import TLS

/// The opening handshake of a WebSocket (RFC 6455 §4), as far as a proxy has to understand it: what follows is bytes.
enum WebSocketHandshake {
    /// The fields that a proxy writes anew on each hop.
    static let fields: StaticString = "Connection: Upgrade\r\nUpgrade: websocket\r\n"

    /// Whether a request asks for a WebSocket. Any other upgrade is as good as none.
    ///
    /// - Throws: 400 where it does, but not as RFC 6455 §4.2.1 has it: two parsers could then disagree on whether one is open.
    static func isAsked(by head: RequestHead, in bytes: Span<UInt8>) throws(MessageRefusal) -> Bool {
        guard head.connection.namesFields, ConnectionOptions.name("upgrade".utf8Span.span, in: head.fields, of: bytes) else { return false }
        var (upgrades, keys, versions) = (0, 0, 0)
        var isSound = head.method == .get && head.minorVersion > 0 && !head.hasBody
        for field in head.fields {
            let (name, value) = (field.name.bytes(in: bytes), field.value.bytes(in: bytes))
            if name.equalsIgnoringCase("upgrade") {
                guard value.equalsIgnoringCase("websocket") else { return false }
                upgrades += 1
            } else if name.equalsIgnoringCase("sec-websocket-key") {
                keys += 1
                // 16 bytes in base64.
                if value.count != 24 { isSound = false }
            } else if name.equalsIgnoringCase("sec-websocket-version") {
                versions += 1
                if !value.equals("13") { isSound = false }
            }
        }
        guard upgrades > 0 else { return false }
        guard isSound, upgrades == 1, keys == 1, versions == 1 else {
            throw MessageRefusal("The request for a WebSocket is none of version 13: a GET with one Sec-WebSocket-Key and no content.")
        }
        return true
    }

    /// Whether a response with status 101 opens one.
    static func isAccepted(by response: ResponseHead, in bytes: Span<UInt8>) -> Bool {
        guard ConnectionOptions.name("upgrade".utf8Span.span, in: response.fields, of: bytes) else { return false }
        var upgrades = 0
        for field in response.fields where field.name.bytes(in: bytes).equalsIgnoringCase("upgrade") {
            guard field.value.bytes(in: bytes).equalsIgnoringCase("websocket") else { return false }
            upgrades += 1
        }
        return upgrades == 1
    }

    /// What a service proves with that it has understood a request for a WebSocket (RFC 6455 §4.2.2): `Sec-WebSocket-Accept`. Nil where the
    /// request has no key.
    static func acceptance(of head: RequestHead, in bytes: Span<UInt8>) -> [UInt8]? {
        for field in head.fields where field.name.bytes(in: bytes).equalsIgnoringCase("sec-websocket-key") {
            return sha1(field.value.bytes(in: bytes).array + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)).map(base64)
        }
        return nil
    }

    /// RFC 4648 §4.
    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for place in 0..<4 { text.append(place <= group.count ? digits[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "=")) }
        }
        return text
    }
}
