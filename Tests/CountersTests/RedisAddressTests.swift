import Testing

@testable import Counters

@Test(arguments: [
    ("redis://localhost", RedisAddress(place: .tcp(host: "localhost", port: 6379))),
    ("redis://10.0.0.7:7000/3", RedisAddress(place: .tcp(host: "10.0.0.7", port: 7000), database: 3)),
    ("redis://[::1]:7000/", RedisAddress(place: .tcp(host: "::1", port: 7000))),
    ("redis://:secret@redis.internal", RedisAddress(place: .tcp(host: "redis.internal", port: 6379), password: "secret")),
    ("redis://bob:p%40ss%2f%C3%A9@h:1/2", RedisAddress(place: .tcp(host: "h", port: 1), user: "bob", password: "p@ss/é", database: 2)),
    ("redis://bob:@h", RedisAddress(place: .tcp(host: "h", port: 6379), user: "bob")),
    ("unix:/run/redis.sock", RedisAddress(place: .unix(path: "/run/redis.sock"))),
])
func `a URL of an accepted form is read`(_ url: String, _ address: RedisAddress) {
    #expect(RedisAddress(url: url) == address)
}

@Test(arguments: [
    "", "redis", "redis:", "redis://", "redis:///1", "http://localhost", "rediss://localhost", "localhost:6379", "redis://h:",
    "redis://h:0", "redis://h:65536", "redis://h:+1", "redis://h/-1", "redis://h/x", "redis://h/65536", "redis://h?db=1",
    "redis://a b", "redis://user@h", "redis://:%zz@h", "redis://:%+f@h", "redis://:%f@h", "redis://[::1", "redis://[::1]x",
    "redis://::1:6379", "unix:", "unix:relative", "unix:/" + String(repeating: "x", count: 107),
])
func `any other URL is none`(_ url: String) { #expect(RedisAddress(url: url) == nil) }

@Test func `an address is described without its password`() {
    let address = RedisAddress(url: "redis://bob:secret@[::1]:7000/2")
    #expect(address?.description == "[::1]:7000/2")
    #expect(RedisAddress(place: .unix(path: "/run/r.sock")).description == "unix:/run/r.sock")
}
