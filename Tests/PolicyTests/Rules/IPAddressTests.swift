import Bytes
import Testing

@testable import Policy

private func address(_ text: String) -> IPAddress? {
    let bytes = Array(text.utf8)
    return IPAddress(bytes.span)
}

private func key(_ text: String) -> String? {
    guard let address = address(text) else { return nil }
    let buffer = ByteBuffer(capacity: 16)
    address.appendKey(to: buffer)
    return buffer.bytes.text
}

@Suite struct `A client's address` {
    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"), ("0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8:0:0::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8:0:0::/64"), ("2001:0db8:0000:0001::", "2001:db8:0:1::/64"), ("::", "0:0:0:0::/64"),
        ("::1", "0:0:0:0::/64"), ("1::", "1:0:0:0::/64"), ("1:2:3:4:5:6:7:8", "1:2:3:4::/64"), ("1:2:3::5:6:7:8", "1:2:3:0::/64"),
        ("::2:3:4:5:6:7:8", "0:2:3:4::/64"), ("1:2:3:4:5:6:7::", "1:2:3:4::/64"), ("1:2:3:4:5:6:192.0.2.7", "1:2:3:4::/64"),
        ("fe80::a:b:c:d", "fe80:0:0:0::/64"), ("64:ff9b::192.0.2.7", "64:ff9b:0:0::/64"), ("::192.0.2.7", "0:0:0:0::/64"), ("1::8:192.0.2.7", "1:0:0:0::/64"),
    ])
    func `is counted by`(text: String, expected: String) { #expect(key(text) == expected) }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.04", "1..2.3", ".1.2.3", "1.2.3.", "1.2.3.4 ", "1.2.3.-4", "a.b.c.d", "1.2.3.4:80", ":", ":::", "1:", ":1",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "[::1]", "::1%eth0", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4:5",
        "1.2.3.4::", "::ffff:1.2.3.256", "2001:db8::1/64", "1:2:3:4:5:6:7:",
    ])
    func `is none`(text: String) { #expect(key(text) == nil) }

    @Test(arguments: 0..<300)
    func `is the same however it is written`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let groups = (0..<8).map { _ in Bool.random(using: &random) ? 0 : UInt16.random(in: 0...0xffff, using: &random) }
        func hexadecimal(_ group: UInt16) -> String {
            let digits = String(group, radix: 16, uppercase: Bool.random(using: &random))
            return Bool.random(using: &random) ? digits : String(repeating: "0", count: 4 - digits.count) + digits
        }
        var texts = groups.map(hexadecimal)
        if Bool.random(using: &random) {
            texts.replaceSubrange(6..., with: ["\(groups[6] >> 8).\(groups[6] & 255).\(groups[7] >> 8).\(groups[7] & 255)"])
        }
        var text = texts.joined(separator: ":")
        let zeros = groups.prefix(texts.count == 8 ? 8 : 6).indices.filter { groups[$0] == 0 }
        if let gap = zeros.randomElement(using: &random), Bool.random(using: &random) {
            text = texts[..<gap].joined(separator: ":") + "::" + texts[(gap + 1)...].joined(separator: ":")
        }
        let isMapped = groups[..<5].allSatisfy { $0 == 0 } && groups[5] == 0xffff
        let expected =
            isMapped
            ? "\(groups[6] >> 8).\(groups[6] & 255).\(groups[7] >> 8).\(groups[7] & 255)"
            : groups[..<4].map { String($0, radix: 16) }.joined(separator: ":") + "::/64"
        #expect(key(text) == expected, "\(text)")
    }

    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::", "::"), ("::1", "::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8"),
    ])
    func `is written in its canonical form, and read back from its bytes`(text: String, expected: String) throws {
        let read = try #require(address(text))
        let buffer = ByteBuffer(capacity: 16)
        buffer.append(read)
        #expect(buffer.bytes.text == expected)
        let bytes = read.bytes
        let again = IPAddress(bytes: bytes.span)
        #expect(again == read)
        let short = IPAddress(bytes: bytes.span.extracting(12..<16))
        #expect((short == read) == read.isIPv4)
    }
}
