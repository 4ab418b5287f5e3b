import Testing

@testable import ReverseProxy

@Suite struct `The balancer` {
    private func balancer(_ balancing: Balancing, _ urls: [String], seed: UInt64 = 1) -> Balancer {
        var upstream = Upstream(name: "a", endpoints: urls.map { Endpoint(url: $0, host: $0, port: 80) })
        upstream.balancing = balancing
        return Balancer(upstream, seed: seed)
    }

    private func candidates(_ weights: [Int]) -> [Balancer.Candidate] { weights.map { Balancer.Candidate(weight: $0) } }

    /// What each endpoint gets of `count` requests that are over at once.
    private func shares(_ balancer: inout Balancer, _ candidates: [Balancer.Candidate], count: Int) -> [Int] {
        var shares = candidates.map { _ in 0 }
        for _ in 0..<count {
            if let index = balancer.choose(among: candidates) { shares[index] += 1 }
        }
        return shares
    }

    @Test func `goes in turn, smoothly by weight`() {
        var balancer = balancer(.roundRobin, ["a", "b", "c"])
        let order = (0..<14).map { _ in balancer.choose(among: candidates([5, 1, 1])) }
        #expect(order == [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0])
    }

    @Test(arguments: [Balancing.roundRobin, .leastRequests, .powerOfTwo, .hash(.subject)])
    func `chooses nobody without a weight`(balancing: Balancing) {
        var balancer = balancer(balancing, ["a", "b", "c"])
        #expect(balancer.choose(among: candidates([0, 0, 0])) == nil)
        for key in UInt64(0)..<1000 {
            #expect(balancer.choose(among: candidates([0, 1, 0]), key: key) == 1)
            #expect(balancer.choose(among: candidates([1, 0, 1]), key: key) != 1)
        }
    }

    @Test(arguments: [Balancing.roundRobin, .leastRequests])
    func `gives everybody exactly their part while nothing is in flight`(balancing: Balancing) {
        var balancer = balancer(balancing, ["a", "b", "c"])
        #expect(shares(&balancer, candidates([1, 2, 3]), count: 600) == [100, 200, 300])
        // And what is there still has its parts when one has gone.
        #expect(shares(&balancer, candidates([1, 0, 3]), count: 400)[1] == 0)
    }

    @Test func `gives everybody about their part by two choices`() {
        var balancer = balancer(.powerOfTwo, ["a", "b", "c"])
        let shares = shares(&balancer, candidates([1, 2, 3]), count: 60_000)
        for (share, part) in zip(shares, [10_000, 20_000, 30_000]) { #expect(abs(share - part) < part / 20) }
    }

    @Test func `chooses the least busy for its weight`() {
        var balancer = balancer(.leastRequests, ["a", "b", "c"])
        let busy = [(10, 4), (1, 1), (100, 39)].map { Balancer.Candidate(weight: $0.0, requests: $0.1) }
        for _ in 0..<10 { #expect(balancer.choose(among: busy) == 2) }
    }

    /// Requests come and never end: the busiest may not be ahead by more than this.
    @Test(arguments: [(Balancing.leastRequests, 1), (.powerOfTwo, 4)])
    func `keeps the endpoints equally busy`(balancing: Balancing, most: Int) throws {
        for seed in UInt64(1)...20 {
            var balancer = balancer(balancing, ["a", "b", "c", "d", "e"], seed: seed)
            var all = candidates([1, 1, 1, 1, 1])
            for _ in 0..<5000 {
                let index = balancer.choose(among: all) ?? -1
                all[index].requests += 1
            }
            let requests = all.map(\.requests)
            #expect(try #require(requests.max()) - #require(requests.min()) <= most)
        }
    }

    @Test func `sends a key to the same endpoint, wherever that stands in the list`() {
        var one = balancer(.hash(.subject), ["a", "b", "c"])
        var other = balancer(.hash(.subject), ["c", "a", "b"], seed: 2)
        for key in UInt64(0)..<1000 {
            let first = one.choose(among: candidates([1, 1, 1]), key: key) ?? -1
            #expect(one.choose(among: candidates([1, 1, 1]), key: key) == first)
            #expect(other.choose(among: candidates([1, 1, 1]), key: key) == (first + 1) % 3)
        }
    }

    @Test func `moves the keys of an endpoint that has gone, and no others`() {
        var balancer = balancer(.hash(.subject), ["a", "b", "c", "d"])
        var moved = [0, 0, 0, 0]
        for number in 0..<4000 {
            let key = KeyHash.of(Array("user-\(number)".utf8).span)
            let before = balancer.choose(among: candidates([1, 1, 1, 1]), key: key) ?? -1
            let after = balancer.choose(among: candidates([1, 0, 1, 1]), key: key) ?? -1
            #expect(before == after || before == 1)
            if before == 1 { moved[after] += 1 }
        }
        // And they are spread over all that are left.
        for index in [0, 2, 3] { #expect(moved[index] > 250) }
    }

    @Test func `shares keys by weight, and a weight that grows draws keys to itself only`() {
        var balancer = balancer(.hash(.subject), ["a", "b", "c"])
        var shares = [0, 0, 0]
        for number in 0..<12_000 {
            let key = KeyHash.of(Array("user-\(number)".utf8).span)
            let before = balancer.choose(among: candidates([1, 2, 1]), key: key) ?? -1
            let after = balancer.choose(among: candidates([1, 2, 3]), key: key) ?? -1
            #expect(before == after || after == 2)
            shares[after] += 1
        }
        for (share, part) in zip(shares, [2000, 4000, 6000]) { #expect(abs(share - part) < 300) }
    }

    @Test func `lets a request without a key go in turn`() {
        var balancer = balancer(.hash(.subject), ["a", "b"])
        #expect(shares(&balancer, candidates([1, 1]), count: 10) == [5, 5])
    }

    @Test func `hashes as FNV-1a and SplitMix64 are published`() {
        #expect(KeyHash.of([UInt8]().span) == 0xCBF2_9CE4_8422_2325)
        #expect(KeyHash.of(Array("foobar".utf8).span) == 0x8594_4171_F739_67E8)
        var random = SplitMix64(state: 1_234_567)
        #expect((0..<3).map { _ in random.next() } == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
    }
}
