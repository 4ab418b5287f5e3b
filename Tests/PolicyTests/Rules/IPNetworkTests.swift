import Bytes
import Testing

private func network(_ text: String) -> IPNetwork? {
    let bytes = Array(text.utf8)
    return IPNetwork(bytes.span)
}

private func address(_ text: String) -> IPAddress? {
    let bytes = Array(text.utf8)
    return IPAddress(bytes.span)
}

@Suite struct `A network` {
    @Test(arguments: [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["9.255.255.255", "11.0.0.0", "::10.0.0.1", "a00::"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]), ("192.0.2.6/31", ["192.0.2.6", "192.0.2.7"], ["192.0.2.8"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]), ("::/0", ["::", "ffff::", "10.0.0.1"], []),
        ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7::", "2001:db9::"]),
        ("2001:db8::/64", ["2001:db8::ffff:ffff:ffff:ffff"], ["2001:db8:0:1::"]), ("2001:db8:0:0:8000::/65", ["2001:db8::8000:0:0:1"], ["2001:db8::1"]),
        ("::1", ["::1"], ["::", "::2", "1::1"]), ("::1/128", ["::1"], ["::"]),
    ])
    func `has the addresses that begin as it does`(text: String, inside: [String], outside: [String]) throws {
        let read = try #require(network(text))
        for member in inside {
            let one = try #require(address(member))
            #expect(read.contains(one), "\(member)")
        }
        for other in outside {
            let one = try #require(address(other))
            #expect(!read.contains(one), "\(other)")
        }
    }

    @Test(arguments: [
        "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8", "10/8", "::/129", "::1/127",
        "2001:db8::1/64", "10.0.0.0/1000", "10.0.0.0/a", "[::1]", "name", "unix",
    ])
    func `is none`(text: String) { #expect(network(text) == nil) }
}
