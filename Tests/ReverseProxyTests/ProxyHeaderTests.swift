import Bytes
import Testing

@testable import ReverseProxy

private func read(_ bytes: [UInt8]) -> ProxyHeader.Reading { ProxyHeader.read(bytes.span) }
private func read(_ text: String) -> ProxyHeader.Reading { read(Array(text.utf8)) }

private func end(_ text: String, _ port: UInt16) throws -> ProxyHeader.End {
    let bytes = Array(text.utf8)
    let address = IPAddress(bytes.span)
    return ProxyHeader.End(address: try #require(address), port: port)
}

/// A header of version 2.
private func binary(_ versionAndCommand: UInt8, _ familyAndTransport: UInt8, _ rest: [UInt8]) -> [UInt8] {
    ProxyHeader.signature + [versionAndCommand, familyAndTransport, UInt8(rest.count >> 8), UInt8(rest.count & 0xFF)] + rest
}

private let ipv4: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB]
private let ipv6: [UInt8] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB]

@Suite("The PROXY protocol's header")
struct ProxyHeaderTests {
    @Test(arguments: [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7", "198.51.100.1"),
        ("PROXY TCP6 2001:db8::7 2001:DB8:0:0::1 56324 443\r\n", "2001:db8::7", "2001:db8::1"),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 56324 443\r\n", "192.0.2.7", "::1"),
    ])
    func `of version 1 says who it is`(line: String, source: String, destination: String) throws {
        let expected = ProxyHeader.Source.client(try end(source, 56324), to: try end(destination, 443))
        #expect(read(line + "GET / HTTP/1.1\r\n") == .complete(expected, byteCount: line.utf8.count))
    }

    @Test(arguments: [
        "PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f:f:f:f:f:f:ffff ffff:f:f:f:f:f:f:ffff 65535 65535\r\n", "PROXY UNKNOWN what ever\r\n",
    ])
    func `of version 1 may not know`(line: String) { #expect(read(line) == .complete(.unknown, byteCount: line.utf8.count)) }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY", "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "PROXY TCP4 1.2.3.4  1.2.3.4 1 1\r\n", "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY TCP6 ::1 1.2.3.4 1 1\r\n", "PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rX",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", "PROXY \r\n", "PROXY UNKNOWN \(String(repeating: "x", count: 100))\r\n",
    ])
    func `of version 1 is malformed`(line: String) {
        switch read(line) {
        case .malformed: break
        case .needsMoreBytes: #expect(line == "PROXY")
        case .complete: Issue.record("taken for a header")
        }
    }

    @Test func `of version 2 says who it is, whatever comes along`() throws {
        let expected = ProxyHeader.Source.client(try end("192.0.2.7", 56324), to: try end("198.51.100.1", 443))
        #expect(read(binary(0x21, 0x11, ipv4)) == .complete(expected, byteCount: 28))
        #expect(read(binary(0x21, 0x11, ipv4 + [0x04, 0, 3, 1, 2, 3])) == .complete(expected, byteCount: 34))
        #expect(read(binary(0x21, 0x11, ipv4 + Array(repeating: 0xFF, count: 4068)) + [0x47]) == .complete(expected, byteCount: 4096))
        let sixth = ProxyHeader.Source.client(try end("2001:db8::7", 56324), to: try end("2001:db8::1", 443))
        #expect(read(binary(0x21, 0x21, ipv6)) == .complete(sixth, byteCount: 52))
    }

    @Test func `of version 2 may be the proxy's own, or not know`() {
        #expect(read(binary(0x20, 0x00, [])) == .complete(.proxy, byteCount: 16))
        #expect(read(binary(0x20, 0x11, ipv4)) == .complete(.proxy, byteCount: 28))
        #expect(read(binary(0x20, 0xFF, [1, 2])) == .complete(.proxy, byteCount: 18))
        for family: UInt8 in [0x00, 0x01, 0x10, 0x12, 0x22, 0x31, 0x32] {
            #expect(read(binary(0x21, family, ipv4)) == .complete(.unknown, byteCount: 28))
        }
    }

    @Test func `of version 2 is malformed`() {
        let bad = [
            binary(0x11, 0x11, ipv4), binary(0x31, 0x11, ipv4), binary(0x22, 0x11, ipv4), binary(0x2F, 0x11, ipv4), binary(0x21, 0x41, ipv4),
            binary(0x21, 0x13, ipv4), binary(0x21, 0x11, Array(ipv4.dropLast())), binary(0x21, 0x21, Array(ipv6.dropLast())), binary(0x21, 0x11, []),
            binary(0x21, 0x11, Array(repeating: 0, count: 4081)), [0x0D, 0x0A, 0x0D, 0x0B],
        ]
        for bytes in bad {
            guard case .malformed = read(bytes) else {
                Issue.record("taken for a header: \(bytes)")
                continue
            }
        }
    }

    @Test func `is waited for until it is whole, and no byte longer`() {
        for whole in [binary(0x21, 0x11, ipv4 + [4, 0, 1, 9]), binary(0x20, 0, []), Array("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".utf8), Array("PROXY UNKNOWN\r\n".utf8)] {
            for count in 0..<whole.count { #expect(read(Array(whole[..<count])) == .needsMoreBytes) }
            for rest in [[], [0x16], Array("GET / HTTP/1.1\r\n\r\n".utf8)] {
                guard case .complete(_, whole.count) = read(whole + rest) else {
                    Issue.record("not whole: \(whole)")
                    continue
                }
            }
        }
    }

    @Test(arguments: ProxyHeaderVersion.allCases)
    func `that is written is read back`(version: ProxyHeaderVersion) throws {
        guard version != .none else { return }
        let ends = [try end("192.0.2.7", 1), try end("2001:db8::1", 65535), try end("::1", 0)]
        for source in ends {
            for destination in ends {
                let buffer = ByteBuffer(capacity: 128)
                ProxyHeader.append(version, from: source, to: destination, to: buffer)
                #expect(ProxyHeader.read(buffer.bytes) == .complete(.client(source, to: destination), byteCount: buffer.count))
            }
        }
        let buffer = ByteBuffer(capacity: 128)
        ProxyHeader.append(version, from: nil, to: ends[0], to: buffer)
        #expect(ProxyHeader.read(buffer.bytes) == .complete(.unknown, byteCount: buffer.count))
    }

    @Test func `never traps, whatever comes`() {
        var random = SystemRandomNumberGenerator()
        let seeds = [binary(0x21, 0x11, ipv4), binary(0x21, 0x21, ipv6), Array("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".utf8)]
        for _ in 0..<20_000 {
            var bytes = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if case .complete(_, let count) = read(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))) { #expect(count <= bytes.count) }
        }
    }
}
