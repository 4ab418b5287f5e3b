import Bytes
import HTTP2
import HTTPMessage

/// Writes an HTTP/2 request's header section as an HTTP/1.1 head, which an ``Exchange`` then judges like any other.
struct RequestText {
    private let headers: FieldSection
    private var hasContentLength = false
    /// Whether it asks for a WebSocket by CONNECT (RFC 8441), which HTTP/1.1 does by GET and an upgrade.
    private let isWebSocket: Bool
    private var cookies: [Range<Int>] = []

    /// - Parameters:
    ///   - headers: pseudo-header fields first (RFC 9113 §8.3.1), as the session has found them sound.
    ///   - isEnd: whether there is no content.
    /// - Returns: whether the content is to be written in the chunked coding: its length is not announced.
    /// - Throws: 400 for what HTTP/1.1 could not tell apart.
    static func append(_ headers: FieldSection, isEnd: Bool, random: RandomNumbers, to text: ByteBuffer) throws(MessageRefusal) -> Bool {
        var request = RequestText(headers)
        try request.appendRequestLine(to: text)
        try request.appendFields(to: text)
        if request.isWebSocket {
            text.append(WebSocketHandshake.fields)
            appendKey(random, to: text)
        }
        let isChunked = !request.isWebSocket && !isEnd && !request.hasContentLength
        text.append(isChunked ? "transfer-encoding: chunked\r\n\r\n" : "\r\n")
        return isChunked
    }

    private init(_ headers: FieldSection) {
        self.headers = headers
        isWebSocket = headers.first(":protocol") != nil
    }

    /// `method SP path SP HTTP/1.1`, and `Host`, which stands for `:authority` (RFC 9113 §8.3.1).
    private func appendRequestLine(to text: ByteBuffer) throws(MessageRefusal) {
        let bytes = headers.bytes
        guard let method = headers.first(":method"), FieldText.isToken(bytes.extracting(method)) else {
            throw MessageRefusal("There is no :method, or it is none.")
        }
        let authority = headers.first(":authority") ?? headers.first("host")
        // CONNECT has an authority for its target. It gets as far as being refused.
        guard let path = headers.first(":path") ?? (headers.has(":method", "CONNECT") ? authority : nil),
            FieldText.isTarget(bytes.extracting(path))
        else { throw MessageRefusal("There is no :path, or it has a character none may have.") }
        guard !isWebSocket || headers.has(":protocol", "websocket") else { throw MessageRefusal(501, "The :protocol is not websocket.") }
        guard headers.first(":scheme") == nil || headers.has(":scheme", "http") || headers.has(":scheme", "https") else {
            throw MessageRefusal("The :scheme is neither http nor https.")
        }
        if isWebSocket { text.append("GET") } else { text.append(bytes.extracting(method)) }
        text.append(" ")
        text.append(bytes.extracting(path))
        text.append(" HTTP/1.1\r\n")
        guard let authority else { return }
        guard FieldText.isValue(bytes.extracting(authority)) else { throw MessageRefusal("There is a control character in the :authority.") }
        text.append(field: "host", bytes.extracting(authority))
    }

    private mutating func appendFields(to text: ByteBuffer) throws(MessageRefusal) {
        let headers = self.headers
        let bytes = headers.bytes
        let authority = headers.first(":authority")
        var hasHost = false
        for field in headers.fields {
            let (name, value) = (bytes.extracting(field.name), bytes.extracting(field.value))
            if name.count > 0, name[0] == UInt8(ascii: ":") { continue }
            guard FieldText.isToken(name) else { throw MessageRefusal("There is a character in a header name that no name may have.") }
            guard FieldText.isValue(value) else { throw MessageRefusal("There is a control character in a header value.") }
            switch name.count {
            case 4 where name.equals("host"):
                guard !hasHost else { throw MessageRefusal("There is more than one Host.") }
                hasHost = true
                if let authority, !value.equalsIgnoringCase(bytes.extracting(authority)) {
                    throw MessageRefusal("The Host field names another host than the :authority.")
                }
                continue
            case 6 where name.equals("cookie"):
                cookies.append(field.value)
                continue
            case 10 where name.equals("connection"), 17 where name.equals("transfer-encoding"):
                throw MessageRefusal("There is a field that concerns a connection, which HTTP/2 has none of.")
            // It is of HTTP/1.1 alone.
            case 17 where isWebSocket && name.equals("sec-websocket-key"): continue
            case 14 where name.equals("content-length"): hasContentLength = true
            default: break
            }
            text.append(field: name, value)
        }
        appendCookies(bytes, to: text)
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
    private func appendCookies(_ bytes: Span<UInt8>, to text: ByteBuffer) {
        guard let first = cookies.first else { return }
        text.append("cookie: ")
        text.append(bytes.extracting(first))
        for cookie in cookies.dropFirst() {
            text.append("; ")
            text.append(bytes.extracting(cookie))
        }
        text.append("\r\n")
    }
}
