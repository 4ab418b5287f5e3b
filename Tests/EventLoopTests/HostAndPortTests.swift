import EventLoop
import Testing

@Suite struct `A host and a port` {
    @Test(arguments: [
        ("a.example:443", "a.example", 443), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:65535", "::1", 65_535), ("a:00080", "a", 80),
    ])
    func `are told apart`(_ text: String, _ host: String, _ port: Int) {
        #expect(HostAndPort(text).map { [$0.host, String($0.port)] } == [host, String(port)])
        #expect(HostAndPort(text, defaultPort: 7) == HostAndPort(text))
    }

    @Test(arguments: ["a", "[::1]", "127.0.0.1"])
    func `may be a host alone where there is a usual port`(_ text: String) {
        #expect(HostAndPort(text) == nil)
        #expect(HostAndPort(text, defaultPort: 7)?.port == 7)
    }

    @Test(arguments: [
        "", ":", ":80", "a:", "a:+1", "a:-1", "a:65536", "a:000080", "a:8 0", "::1", "::1:80", "a:b:80", "[]:80", "[a]:80", "[127.0.0.1]:80", "[::1]80",
        "[::1]:", "[::1:80", "[::1]:80:90", "a:٨٠",
    ])
    func `are not made of anything else`(_ text: String) {
        #expect(HostAndPort(text) == nil)
        #expect(HostAndPort(text, defaultPort: 7) == nil)
    }
}
