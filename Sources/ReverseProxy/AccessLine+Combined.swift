import Bytes
import HTTPMessage

extension AccessLine {
    /// Apache's combined format, but for the query, which no log should hold:
    /// `192.0.2.7 - usr_1 [10/Oct/2000:13:55:36 +0000] "GET /api/projects HTTP/1.1" 200 2326 "-" "curl/8.5.0"`
    func appendCombined(to buffer: ByteBuffer) {
        let record = exchange.record
        let text = record.text
        withClient { client in
            if client.isEmpty { buffer.append("-") } else { buffer.append(client) }
        }
        buffer.append(" - ")
        Self.withUser(record, exchange.check) { user in
            if let user, !user.isEmpty { buffer.append(quotable: user, isWord: true) } else { buffer.append("-") }
        }
        buffer.append(" [")
        buffer.append(commonLogDate: max(unixMilliseconds - nanoseconds / 1_000_000, 0) / 1000)
        buffer.append("] \"")
        if record.method.isEmpty { buffer.append("-") } else {
            buffer.append(quotable: record.method.bytes(in: text.bytes))
            buffer.append(" ")
            buffer.append(quotable: record.path.bytes(in: text.bytes))
            buffer.append(record.isHTTP10 ? " HTTP/1.0" : " HTTP/1.1")
        }
        buffer.append("\" ")
        buffer.append(decimal: Int(record.status))
        buffer.append(" ")
        if record.byteCount > 0 { buffer.append(decimal: record.byteCount) } else { buffer.append("-") }
        for field in [record.referer, record.userAgent] {
            buffer.append(" \"")
            if field.isEmpty { buffer.append("-") } else { buffer.append(quotable: field.bytes(in: text.bytes)) }
            buffer.append("\"")
        }
    }
}

extension ByteBuffer {
    /// Appends bytes so that they can't end the quotes around them: quotes and backslashes behind a backslash, and what is not
    /// visible ASCII as `\xNN`, as Apache does.
    ///
    /// - Parameter isWord: whether there are no quotes around them, so that a blank would end them.
    fileprivate func append(quotable bytes: Span<UInt8>, isWord: Bool = false) {
        for index in bytes.indices {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                append("\\")
                append(byte)
            } else if byte < 0x20 || byte > 0x7E || isWord && byte == 0x20 {
                append("\\x")
                append(hexadecimalDigit: byte >> 4)
                append(hexadecimalDigit: byte & 0xF)
            } else {
                append(byte)
            }
        }
    }
}
