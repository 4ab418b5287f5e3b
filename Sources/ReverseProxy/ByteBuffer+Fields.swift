import Bytes

extension ByteBuffer {
    /// Appends one field line.
    func append(field name: Span<UInt8>, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    /// Appends one field line.
    func append(field name: StaticString, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    func append(contentLength: Int) {
        append("Content-Length: ")
        append(decimal: contentLength)
        append("\r\n")
    }
}
