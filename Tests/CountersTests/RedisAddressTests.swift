import Testing

@testable import Counters

@Test(arguments: [
    ("redis://localhost", RedisAddress(place: .tcp(host: "localhost", port: 6379))),
    ("redis://10.0.0.7:7000/3", RedisAddress(place: .tcp(host: "10.0.0.7", port: 7000), database: 3)),
    ("redis://[::1]:7000/", RedisAddress(place: .tcp(host: "::1", port: 7000))),
    ("redis://:secret@redis.internal", RedisAddress(place: .tcp(host: "redis.internal", port: 6379), password: "secret")),
    ("redis://bob:p%40ss%2f%C3%A9@h:1/2", RedisAddress(place: .tcp(host: "h", port: 1), user: "bob", password: "p@ss/é", database: 2)),
    ("redis://bob:@h", RedisAddress(place: .tcp(host: "h", port: 6379), user: "bob")),
    ("redis://:a/b@c:d@h/1", RedisAddress(place: .tcp(host: "h", port: 6379), password: "a/b@c:d", database: 1)),
    ("unix:/run/redis.sock", RedisAddress(place: .unix(path: "/run/redis.sock"))),
    ("rediss://h", RedisAddress(.single(.tcp(host: "h", port: 6379)), tls: RedisTLS())),
    (
        "redis-sentinel://a,[::1]:7,c:8/the%20master/2",
        RedisAddress(
            .sentinel([.tcp(host: "a", port: 26379), .tcp(host: "::1", port: 7), .tcp(host: "c", port: 8)], master: "the master"),
            database: 2)
    ),
    (
        "rediss-sentinel://bob:secret@a/m/",
        RedisAddress(.sentinel([.tcp(host: "a", port: 26379)], master: "m"), user: "bob", password: "secret", tls: RedisTLS())
    ),
    (
        "redis-cluster://:secret@a:7000,b",
        RedisAddress(.cluster([.tcp(host: "a", port: 7000), .tcp(host: "b", port: 6379)]), password: "secret")
    ),
    ("rediss-cluster://a/", RedisAddress(.cluster([.tcp(host: "a", port: 6379)]), tls: RedisTLS())),
])
func `a URL of an accepted form is read`(_ url: String, _ address: RedisAddress) {
    #expect(RedisAddress(url: url) == address)
}

@Test(arguments: [
    "", "redis", "redis:", "redis://", "redis:///1", "http://localhost", "redis-other://h", "redisss://h", "localhost:6379", "redis://h:",
    "redis://h:0", "redis://h:65536", "redis://h:+1", "redis://h/-1", "redis://h/x", "redis://h/65536", "redis://h?db=1",
    "redis://a b", "redis://user@h", "redis://:%zz@h", "redis://:%+f@h", "redis://:%f@h", "redis://[::1", "redis://[::1]x",
    "redis://::1:6379", "redis://a,b", "redis://h/1/2", "redis-sentinel://a", "redis-sentinel://a/", "redis-sentinel:///m",
    "redis-sentinel://a,/m", "redis-sentinel://a/m/x", "redis-sentinel://a/m/1/2", "redis-cluster://", "redis-cluster://a,",
    "redis-cluster://a/1", "redis-cluster://a//", "redis-cluster://" + Array(repeating: "a", count: 65).joined(separator: ","),
    "unix:", "unix:relative", "unix:/" + String(repeating: "x", count: 107),
])
func `any other URL is none`(_ url: String) { #expect(RedisAddress(url: url) == nil) }

@Test func `an address is described without its password`() {
    let address = RedisAddress(url: "redis://bob:secret@[::1]:7000/2")
    #expect(address?.description == "[::1]:7000/2")
    #expect(RedisAddress(place: .unix(path: "/run/r.sock")).description == "unix:/run/r.sock")
    #expect(RedisAddress(url: "rediss-sentinel://:x@a,b:1/m/3")?.description == "sentinels a:26379,b:1, master m/3")
    #expect(RedisAddress(url: "redis-cluster://:x@a,[::1]")?.description == "cluster a:6379,[::1]:6379")
}
