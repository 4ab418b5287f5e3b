import Bytes
import Testing

@testable import HTTPMessage

private typealias Parts = [[String]]

/// What is read of a value: node, host and scheme of each element; nil where it is malformed.
private func read(_ text: String, isForwarded: Bool) -> Parts? {
    let bytes = Array(text.utf8)
    var elements: [ForwardedElement] = []
    let range = ByteRange(0..<bytes.count)
    let isWell = isForwarded ? ForwardedList.read(forwarded: range, of: bytes.span, into: &elements)
        : ForwardedList.read(addresses: range, of: bytes.span, into: &elements)
    guard isWell else { return nil }
    return elements.map { element in [element.node, element.host, element.scheme].map { $0.bytes(in: bytes.span).text } }
}

private func node(_ text: String, isForwarded: Bool) -> ForwardedElement.Node? {
    let bytes = Array(text.utf8)
    return ForwardedElement.node(bytes.span, isForwarded: isForwarded)
}

private func address(_ text: String) -> ForwardedElement.Node? {
    let bytes = Array(text.utf8)
    return IPAddress(bytes.span).map { .address($0) }
}

@Suite("Forwarded")
struct ForwardedTests {
    // The first ones are those of RFC 7239 §4 and §6.
    @Test(arguments: [
        ("for=\"_gazonk\"", [["_gazonk", "", ""]]), ("For=\"[2001:db8:cafe::17]:4711\"", [["[2001:db8:cafe::17]:4711", "", ""]]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [["192.0.2.60", "", "http"]]), ("for=192.0.2.43, for=198.51.100.17", [["192.0.2.43", "", ""], ["198.51.100.17", "", ""]]),
        ("for=1.2.3.4;host=\"a.example:8443\";proto=https", [["1.2.3.4", "a.example:8443", "https"]]), ("", []), (" , ,", []), (";", []),
        ("for=a; proto=b ,for=c", [["a", "", "b"], ["c", "", ""]]), ("secret=\"a,b;c\";for=d", [["d", "", ""]]), ("by=a", [["", "", ""]]),
    ] as [(String, [[String]])])
    func `is read element by element`(text: String, elements: [[String]]) { #expect(read(text, isForwarded: true) == elements) }

    @Test(arguments: [
        "for", "for=", "=a", "for=\"a", "for=\"a\\\"b\"", "for=a b", "for =a", "for= a", "for=a;for=b", "host=a;HOST=b", "proto=a;proto=a", "for=\"\"",
        "for=[::1]", "for=::1", "for=1.2.3.4:80", "for=a\"b\"", "for=\"a\"b", String(repeating: "for=a,", count: 65),
    ])
    func `is malformed`(text: String) { #expect(read(text, isForwarded: true) == nil) }

    @Test(arguments: [
        ("1.2.3.4, 5.6.7.8", ["1.2.3.4", "5.6.7.8"]), ("1.2.3.4,,\t5.6.7.8 ,", ["1.2.3.4", "5.6.7.8"]), ("", []), ("a b", ["a b"]),
    ])
    func `of its forerunner the list is read`(text: String, nodes: [String]) { #expect(read(text, isForwarded: false)?.map(\.[0]) == nodes) }

    @Test func `of its forerunner no more is read than any chain has`() {
        #expect(read(String(repeating: "1.2.3.4,", count: 64), isForwarded: false)?.count == 64)
        #expect(read(String(repeating: "1.2.3.4,", count: 65), isForwarded: false) == nil)
    }

    @Test(arguments: [
        ("1.2.3.4", "1.2.3.4"), ("1.2.3.4:80", "1.2.3.4"), ("[2001:db8::1]", "2001:db8::1"), ("[2001:db8::1]:4711", "2001:db8::1"),
    ])
    func `a node is an address with or without a port`(text: String, expected: String) {
        for isForwarded in [true, false] { #expect(node(text, isForwarded: isForwarded) == address(expected)) }
    }

    @Test func `nodes may be hidden, and differ in brackets`() {
        #expect(node("unknown", isForwarded: true) == .hidden)
        #expect(node("Unknown", isForwarded: false) == .hidden)
        #expect(node("_hidden.1-2", isForwarded: true) == .hidden)
        #expect(node("_hidden", isForwarded: false) == nil)
        #expect(node("1.2.3.4:_port", isForwarded: true) == address("1.2.3.4"))
        #expect(node("1.2.3.4:_port", isForwarded: false) == nil)
        #expect(node("2001:db8::1", isForwarded: false) == address("2001:db8::1"))
        #expect(node("2001:db8::1", isForwarded: true) == nil)
    }

    @Test(arguments: [
        "", "_", "_a b", "a", "1.2.3", "1.2.3.4:", "1.2.3.4:123456", "1.2.3.4:a", "1.2.3.4 ", "[1.2.3.4]", "[::1", "::1]", "[::1]x", "[::1]:", "[]", "unknown:80",
        "1.2.3.4:80:90", "-",
    ])
    func `nobody is named so`(text: String) {
        for isForwarded in [true, false] { #expect(node(text, isForwarded: isForwarded) == nil) }
    }
}
