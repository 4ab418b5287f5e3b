import Bytes

/// Which header a connection to an upstream begins with.
public enum ProxyHeaderVersion: String, Sendable, CaseIterable {
    case none, v1, v2
}

extension ProxyHeader {
    /// Appends a header that says from whom and to whom a connection is.
    ///
    /// - Parameter source: nil where that isn't known.
    static func append(_ version: ProxyHeaderVersion, from source: End?, to destination: End?, to buffer: ByteBuffer) {
        switch version {
        case .none: break
        case .v1: appendLine(source, destination, to: buffer)
        case .v2: appendBinary(source, destination, to: buffer)
        }
    }

    /// Appends a header of a connection that is on nobody's behalf.
    static func appendOwn(_ version: ProxyHeaderVersion, to buffer: ByteBuffer) {
        guard version == .v2 else { return append(version, from: nil, to: nil, to: buffer) }
        buffer.append(signature)
        buffer.append([0x20, 0x00, 0x00, 0x00])
    }

    private static func appendLine(_ source: End?, _ destination: End?, to buffer: ByteBuffer) {
        guard let source, let destination else { return buffer.append("PROXY UNKNOWN\r\n") }
        let isIPv4 = source.address.isIPv4 && destination.address.isIPv4
        buffer.append(isIPv4 ? "PROXY TCP4 " : "PROXY TCP6 ")
        for end in [source, destination] {
            if isIPv4 { buffer.append(end.address) } else { append(mapped: end.address, to: buffer) }
            buffer.append(" ")
        }
        buffer.append(decimal: Int(source.port))
        buffer.append(" ")
        buffer.append(decimal: Int(destination.port))
        buffer.append("\r\n")
    }

    /// Both are of one family: where one is not, the other is written as IPv6 as well.
    private static func append(mapped address: IPAddress, to buffer: ByteBuffer) {
        if address.isIPv4 { buffer.append("::ffff:") }
        buffer.append(address)
    }

    private static func appendBinary(_ source: End?, _ destination: End?, to buffer: ByteBuffer) {
        buffer.append(signature)
        buffer.append(0x21)
        guard let source, let destination else { return buffer.append([0x00, 0x00, 0x00]) }
        let isIPv4 = source.address.isIPv4 && destination.address.isIPv4
        buffer.append(isIPv4 ? [0x11, 0x00, 12] : [0x21, 0x00, 36])
        for end in [source, destination] {
            let bytes = end.address.bytes
            buffer.append(bytes.span.extracting(isIPv4 ? 12..<16 : 0..<16))
        }
        buffer.append(bigEndian: source.port)
        buffer.append(bigEndian: destination.port)
    }
}
