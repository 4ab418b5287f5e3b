import Bytes
import HTTP2
import HTTPMessage

/// Writes an HTTP/2 request's header section as an HTTP/1.1 head, and has it read and judged as one: an ``Exchange`` then serves it like any
/// other.
struct RequestText {
    /// The pseudo-header fields (RFC 9113 §8.3.1, RFC 8441 §4): where their values lie.
    private struct Pseudo {
        var method: Range<Int>?
        var scheme: Range<Int>?
        var authority: Range<Int>?
        var path: Range<Int>?
        var protocolName: Range<Int>?
    }

    private let headers: FieldSection
    private let pseudo: Pseudo
    private var hasContentLength = false
    private var cookies: [Range<Int>] = []
    /// Whether the method is HEAD.
    let isHead: Bool

    /// Whether it asks for a WebSocket by CONNECT (RFC 8441), which HTTP/1.1 does by GET and an upgrade.
    var isWebSocket: Bool { pseudo.protocolName != nil }

    /// - Parameter headers: pseudo-header fields first, as the session has found them sound.
    init(_ headers: FieldSection) {
        self.headers = headers
        pseudo = Self.pseudo(of: headers)
        isHead = if let method = pseudo.method { headers.bytes.extracting(method).equals("HEAD") } else { false }
    }

    /// The first of each.
    private static func pseudo(of headers: FieldSection) -> Pseudo {
        let bytes = headers.bytes
        var pseudo = Pseudo()
        for field in headers.fields {
            let name = bytes.extracting(field.name)
            guard name.count > 0, name[0] == UInt8(ascii: ":") else { break }
            switch name.count {
            case 5 where name.equals(":path"): pseudo.path = pseudo.path ?? field.value
            case 7 where name.equals(":method"): pseudo.method = pseudo.method ?? field.value
            case 7 where name.equals(":scheme"): pseudo.scheme = pseudo.scheme ?? field.value
            case 9 where name.equals(":protocol"): pseudo.protocolName = pseudo.protocolName ?? field.value
            case 10 where name.equals(":authority"): pseudo.authority = pseudo.authority ?? field.value
            default: break
            }
        }
        return pseudo
    }

    /// Writes the text to `text`, which is empty, and reads it into `head`.
    ///
    /// - Parameter isEnd: whether there is no content.
    /// - Returns: whether the content is to be written in the chunked coding: its length is not announced.
    /// - Throws: for what HTTP/1.1 could not tell apart 400, and for what a head may not have what it is refused with there.
    mutating func write(
        isEnd: Bool, limits: HeadLimits, random: RandomNumbers, to text: ByteBuffer, reading head: inout RequestHead
    ) throws(MessageRefusal) -> Bool {
        try writeRequestLine(to: text, reading: &head)
        try writeFields(to: text, reading: &head)
        if isWebSocket {
            text.append(WebSocketHandshake.fields)
            Self.appendKey(random, to: text)
        }
        let isChunked = !isWebSocket && !isEnd && !hasContentLength
        text.append(isChunked ? "transfer-encoding: chunked\r\n\r\n" : "\r\n")
        try head.end(with: text.bytes, limits: limits)
        return isChunked
    }

    /// `method SP path SP HTTP/1.1`, and `Host`, which stands for `:authority` (RFC 9113 §8.3.1).
    private func writeRequestLine(to text: ByteBuffer, reading head: inout RequestHead) throws(MessageRefusal) {
        let bytes = headers.bytes
        guard let method = pseudo.method, FieldText.isToken(bytes.extracting(method)) else {
            throw MessageRefusal("There is no :method, or it is none.")
        }
        let authority = pseudo.authority ?? headers.first("host")
        // CONNECT has an authority for its target. It gets as far as being refused.
        guard let path = pseudo.path ?? (bytes.extracting(method).equals("CONNECT") ? authority : nil),
            FieldText.isTarget(bytes.extracting(path))
        else { throw MessageRefusal("There is no :path, or it has a character none may have.") }
        if let name = pseudo.protocolName, !bytes.extracting(name).equals("websocket") {
            throw MessageRefusal(501, "The :protocol is not websocket.")
        }
        if let scheme = pseudo.scheme, !bytes.extracting(scheme).equals("http"), !bytes.extracting(scheme).equals("https") {
            throw MessageRefusal("The :scheme is neither http nor https.")
        }
        if isWebSocket { text.append("GET") } else { text.append(bytes.extracting(method)) }
        text.append(" ")
        text.append(bytes.extracting(path))
        text.append(" HTTP/1.1\r\n")
        try head.begin(with: text.bytes)
        guard let authority else { return }
        guard FieldText.isValue(bytes.extracting(authority)) else { throw MessageRefusal("There is a control character in the :authority.") }
        text.append(field: "host", bytes.extracting(authority))
        try head.readLine(of: text.bytes, nameByteCount: 4)
    }

    private mutating func writeFields(to text: ByteBuffer, reading head: inout RequestHead) throws(MessageRefusal) {
        let headers = self.headers
        let bytes = headers.bytes
        var hasHost = false
        for field in headers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            if name.count > 0, name[0] == UInt8(ascii: ":") { continue }
            switch name.count {
            case 4 where name.equals("host"):
                guard !hasHost else { throw MessageRefusal("There is more than one Host.") }
                hasHost = true
                if let authority = pseudo.authority, !value.equalsIgnoringCase(bytes.extracting(authority)) {
                    throw MessageRefusal("The Host field names another host than the :authority.")
                }
                continue
            case 6 where name.equals("cookie"):
                cookies.append(field.value)
                continue
            case 10 where name.equals("connection"), 17 where name.equals("transfer-encoding"):
                throw MessageRefusal("There is a field that concerns a connection, which HTTP/2 has none of.")
            // It is of HTTP/1.1 alone.
            case 17 where isWebSocket && name.equals("sec-websocket-key"):
                guard FieldText.isValue(value) else { throw MessageRefusal("There is a control character in a header value.") }
                continue
            case 14 where name.equals("content-length"): hasContentLength = true
            default: break
            }
            text.append(field: name, value)
            try head.readLine(of: text.bytes, nameByteCount: name.count)
        }
        guard appendCookies(bytes, to: text) else { return }
        try head.readLine(of: text.bytes, nameByteCount: 6)
    }

    /// 16 random bytes in base64, as a WebSocket of HTTP/1.1 wants them (RFC 6455 §4.1).
    private static func appendKey(_ random: RandomNumbers, to text: ByteBuffer) {
        text.append("sec-websocket-key: ")
        var bits: UInt64 = 0
        for index in 0..<21 {
            if index % 10 == 0 { bits = random.next() }
            // Letters alone: 26 of the 64 characters are as good for a key that nobody guesses.
            text.append(UInt8(ascii: "a") + UInt8(bits % 26))
            bits /= 26
        }
        text.append("A==\r\n")
    }

    /// One field of what may have come as several (RFC 9113 §8.2.3).
    ///
    /// - Returns: whether there is any.
    private func appendCookies(_ bytes: Span<UInt8>, to text: ByteBuffer) -> Bool {
        guard let first = cookies.first else { return false }
        text.append("cookie: ")
        text.append(bytes.extracting(first))
        for cookie in cookies.dropFirst() {
            text.append("; ")
            text.append(bytes.extracting(cookie))
        }
        text.append("\r\n")
        return true
    }
}
