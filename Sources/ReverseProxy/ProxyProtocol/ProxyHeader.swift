import Bytes

/// The header that a proxy of connections sends before everything else, so that whom it relays is known: version 1 in text, version
/// 2 in binary (proxy-protocol.txt of HAProxy, 2020/03/05, §2).
enum ProxyHeader {
    /// One end of a connection.
    struct End: Equatable {
        let address: IPAddress
        let port: UInt16
    }

    /// Whom the connection is from.
    enum Source: Equatable {
        /// A client, and where it connected to.
        case client(End, to: End)
        /// The proxy itself, to see whether somebody answers: the peer's own address counts.
        case proxy
        /// The proxy doesn't say.
        case unknown
    }

    /// What one look at the first bytes of a connection came to.
    enum Reading: Equatable {
        case needsMoreBytes
        case complete(Source, byteCount: Int)
        /// The text says what was found.
        case malformed(String)
    }

    /// Longer than the addresses and what is sent along with them (§2.2.7) ever are.
    static let maximumBytes = 4096
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let word = Array("PROXY ".utf8)

    /// Reads a header of either version.
    ///
    /// - Parameter bytes: the connection's first; more may follow the header.
    static func read(_ bytes: Span<UInt8>) -> Reading {
        if let isWhole = begins(bytes, with: signature) { return isWhole ? readBinary(bytes) : .needsMoreBytes }
        if let isWhole = begins(bytes, with: word) { return isWhole ? ProxyHeaderLine.read(bytes) : .needsMoreBytes }
        return .malformed("no PROXY header")
    }

    /// Whether the bytes begin with all of `expected`: false where they are a part of it only, nil where they are something else.
    private static func begins(_ bytes: Span<UInt8>, with expected: [UInt8]) -> Bool? {
        for index in 0..<min(bytes.count, expected.count) where bytes[index] != expected[index] { return nil }
        return bytes.count >= expected.count
    }

    /// Version and command, family and transport, the length of the rest, and that: both addresses, both ports, and anything.
    private static func readBinary(_ bytes: Span<UInt8>) -> Reading {
        let prefixBytes = 16
        guard bytes.count >= prefixBytes else { return .needsMoreBytes }
        let (versionAndCommand, family, transport) = (bytes[12], bytes[13] >> 4, bytes[13] & 0xF)
        guard versionAndCommand >> 4 == 2 else { return .malformed("a PROXY header of version \(versionAndCommand >> 4)") }
        guard versionAndCommand & 0xF <= 1 else { return .malformed("a PROXY header with the command \(versionAndCommand & 0xF)") }
        let byteCount = prefixBytes + (Int(bytes[14]) << 8 | Int(bytes[15]))
        guard byteCount <= maximumBytes else { return .malformed("a PROXY header of \(byteCount) bytes; accepted are \(maximumBytes)") }
        guard bytes.count >= byteCount else { return .needsMoreBytes }
        guard versionAndCommand & 0xF == 1 else { return .complete(.proxy, byteCount: byteCount) }
        guard family <= 3, transport <= 2 else { return .malformed("a PROXY header with the family \(family) and the transport \(transport)") }
        let addressBytes = family == 1 ? 4 : 16
        guard (1...2).contains(family), transport == 1 else { return .complete(.unknown, byteCount: byteCount) }
        let portStart = prefixBytes + 2 * addressBytes
        guard byteCount >= portStart + 4,
            let source = end(bytes, address: prefixBytes..<prefixBytes + addressBytes, port: portStart),
            let destination = end(bytes, address: prefixBytes + addressBytes..<portStart, port: portStart + 2)
        else { return .malformed("a PROXY header too short for its addresses") }
        return .complete(.client(source, to: destination), byteCount: byteCount)
    }

    private static func end(_ bytes: Span<UInt8>, address: Range<Int>, port: Int) -> End? {
        IPAddress(bytes: bytes.extracting(address)).map { End(address: $0, port: UInt16(bytes[port]) << 8 | UInt16(bytes[port + 1])) }
    }
}
