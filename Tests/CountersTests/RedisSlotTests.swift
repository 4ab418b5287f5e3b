import Testing

@testable import Counters

private func slot(_ key: String) -> Int { RedisSlot.of(Array(key.utf8)) }

/// The first is the specification's own; the others are what `CLUSTER KEYSLOT` says.
@Test(arguments: [
    ("123456789", 0x31C3), ("", 0), ("foo", 12182), ("{user1000}.following", 3443), ("{user1000}.followers", 3443),
    ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015), ("foo{bar}{zap}", 5061), ("}{x}", 16287), ("{x", 11068),
])
func `a key's slot is that of its tag`(_ key: String, _ expected: Int) { #expect(slot(key) == expected) }

@Test(arguments: ["ratelimit:bob:", "a}b", "{", "%7B", "{}{x}", "{a}:", "é"])
func `all windows of a counter are in one slot`(_ name: String) {
    let tagged = RedisSlot.tagged(Array(name.utf8))
    #expect(RedisSlot.of(tagged + Array("1".utf8)) == RedisSlot.of(tagged + Array("28866880".utf8)))
    #expect(RedisSlot.of(tagged) == RedisSlot.of(Array(tagged.dropFirst().dropLast())))
}

@Test func `no two counters share a key in a cluster`() {
    let names = ["a", "{a}", "{a", "a}", "%7Ba%7D", "%257Ba%257D", "%", "%25", ""]
    #expect(Set(names.map { RedisSlot.tagged(Array($0.utf8)) }).count == names.count)
    #expect(RedisSlot.tagged(Array("a%{b}:".utf8)) == Array("{a%25%7Bb%7D:}".utf8))
}

@Test(arguments: [
    ("MOVED 3999 127.0.0.1:6381", false, 3999, RedisAddress.Place.tcp(host: "127.0.0.1", port: 6381)),
    ("ASK 0 ::1:7000", true, 0, .tcp(host: "::1", port: 7000)),
    ("MOVED 16383 :7000", false, 16383, .tcp(host: "asked", port: 7000)),
    ("MOVED 1 ?:7000", false, 1, .tcp(host: "asked", port: 7000)),
    ("MOVED 1 node.example:7000", false, 1, .tcp(host: "node.example", port: 7000)),
])
func `a redirection is read`(_ text: String, _ isAsk: Bool, _ slot: Int, _ place: RedisAddress.Place) {
    let redirect = RedisRedirect(text)
    #expect(redirect?.isAsk == isAsk && redirect?.slot == slot)
    #expect(redirect?.target(from: .tcp(host: "asked", port: 1)) == place)
}

@Test(arguments: ["MOVED", "MOVED 1", "MOVED 16384 h:1", "MOVED -1 h:1", "MOVED 1 h", "MOVED 1 h:0", "ERR MOVED 1 h:1", "ASKING 1 h:1"])
func `any other error is no redirection`(_ text: String) { #expect(RedisRedirect(text) == nil) }
