import Bytes
import Testing

@testable import Counters

private let stream = "+OK\r\n:-7\r\n$-1\r\n$3\r\na\r\n\r\n*-1\r\n*0\r\n*3\r\n:0\r\n$1\r\n5\r\n*2\r\n$0\r\n\r\n+x\r\n-ERR no\r\n"
private let values: [RedisValue] = [
    .text(Array("OK".utf8)), .integer(-7), .null, .text(Array("a\r\n".utf8)), .null, .array([]),
    .array([.integer(0), .text([53]), .array([.text([]), .text([120])])]), .error("ERR no"),
]

@Test func `whole replies are read, wherever the bytes are split`() throws {
    let bytes = Array(stream.utf8)
    for size in 1...bytes.count {
        let buffer = ByteBuffer(capacity: 16)
        var found: [RedisValue] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            buffer.append(Array(bytes[start..<min(start + size, bytes.count)]))
            while let value = try RedisValueReader.next(in: buffer) { found.append(value) }
        }
        #expect(found == values && buffer.isEmpty)
    }
}

@Test(arguments: ["x\r\n", "\r\n", ":1x\r\n", "*x\r\n", "$99999999\r\n", "*99999999\r\n", "+a\rb\r\n", String(repeating: "*1\r\n", count: 9)])
func `what is no reply at all is refused`(_ text: String) {
    let buffer = ByteBuffer(capacity: 16)
    buffer.append(utf8: text)
    #expect(throws: RedisValueReader.Malformed.self) { try RedisValueReader.next(in: buffer) }
}

private func map(_ slots: RedisValue, _ info: String = "cluster_state:ok\r\ncluster_current_epoch:12\r\n") throws(RedisFailure) -> RedisClusterMap {
    try RedisClusterMap([.text(Array(info.utf8)), slots], from: .tcp(host: "asked", port: 1))
}
private func node(_ host: String, _ port: Int64) -> RedisValue {
    .array([.text(Array(host.utf8)), .integer(port), .text(Array("id".utf8)), .array([])])
}

@Test func `a cluster's map says who serves which slot`() throws {
    let map = try map(.array([
        .array([.integer(0), .integer(99), node("a", 1), node("c", 3)]),
        .array([.integer(100), .integer(16382), node("", 2), node("c", 3)]),
    ]))
    #expect(map.epoch == 12)
    #expect(map.masters == [.tcp(host: "a", port: 1), .tcp(host: "asked", port: 2)])
    #expect(map.replicas == [.tcp(host: "c", port: 3)])
    #expect(map.owners[99] == 0 && map.owners[100] == 1 && map.owners[16382] == 1 && map.owners[16383] == RedisClusterMap.nobody)
}

@Test(arguments: [
    RedisValue.null, .array([]), .array([.null]), .array([.array([.integer(5), .integer(4), node("a", 1)])]),
    .array([.array([.integer(0), .integer(16384), node("a", 1)])]), .array([.array([.integer(0), .integer(1), node("a", 0)])]),
    .error("ERR This instance has cluster support disabled"),
])
func `a map that can't be is refused`(_ slots: RedisValue) { #expect(throws: RedisFailure.self) { try map(slots) } }
