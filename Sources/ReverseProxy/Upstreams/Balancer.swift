import Glibc

/// Chooses endpoints: a value, without clock or I/O. Each worker has its own: every one spreads its requests evenly, so together
/// they do as well, and what is in flight elsewhere is in proportion to what is in flight here.
struct Balancer {
    /// An endpoint as a choice sees it.
    struct Candidate: Equatable {
        /// 0: not to be chosen now.
        var weight: Int
        /// In flight.
        var requests = 0
    }

    private let balancing: Balancing
    /// Of each endpoint, by its URL: so its keys stay with it wherever it stands in the list.
    private let seeds: [UInt64]
    /// The state of the smooth weighted round robin.
    private var credits: [Int]
    private var random: SplitMix64

    init(_ upstream: Upstream, seed: UInt64 = .random(in: .min ... .max)) {
        balancing = upstream.balancing
        seeds = upstream.endpoints.map { KeyHash.of(Array($0.url.utf8).span) }
        credits = Array(repeating: 0, count: upstream.endpoints.count)
        random = SplitMix64(state: seed)
    }

    /// - Parameters:
    ///   - candidates: one for each endpoint, at its place.
    ///   - key: the hash of what the request is known by; nil where it has no such thing.
    /// - Returns: the place of one with a weight; nil where none has.
    mutating func choose(among candidates: [Candidate], key: UInt64? = nil) -> Int? {
        switch balancing {
        case .roundRobin: next(of: candidates) { _ in true }
        case .leastRequests: leastBusy(of: candidates)
        case .powerOfTwo: lessBusyOfTwo(candidates)
        case .hash:
            if let key { highest(of: candidates, key) } else { next(of: candidates) { _ in true } }
        }
    }

    /// Smooth weighted round robin, as nginx does it: each gains its weight, the richest one is chosen and pays the sum. With weights
    /// of 5, 1 and 1 that gives a a b a c a a rather than a a a a a b c.
    private mutating func next(of candidates: [Candidate], where isEligible: (Candidate) -> Bool) -> Int? {
        var (best, sum) = (Int?.none, 0)
        for index in candidates.indices where candidates[index].weight > 0 && isEligible(candidates[index]) {
            credits[index] += candidates[index].weight
            sum += candidates[index].weight
            if best.map({ credits[index] > credits[$0] }) ?? true { best = index }
        }
        if let best { credits[best] -= sum }
        return best
    }

    /// Among those that are equally busy, in turn.
    private mutating func leastBusy(of candidates: [Candidate]) -> Int? {
        var least: Candidate?
        for candidate in candidates where candidate.weight > 0 {
            if least.map({ Self.isLessBusy(candidate, than: $0) }) ?? true { least = candidate }
        }
        guard let least else { return nil }
        return next(of: candidates) { !Self.isLessBusy(least, than: $0) }
    }

    /// Chosen at random by weight, so that they have their parts while nothing is in flight as well.
    private mutating func lessBusyOfTwo(_ candidates: [Candidate]) -> Int? {
        guard let one = anyone(of: candidates, but: nil) else { return nil }
        guard let other = anyone(of: candidates, but: one) else { return one }
        return Self.isLessBusy(candidates[other], than: candidates[one]) ? other : one
    }

    private mutating func anyone(of candidates: [Candidate], but excluded: Int?) -> Int? {
        var sum = 0
        for index in candidates.indices where index != excluded { sum += candidates[index].weight }
        guard sum > 0 else { return nil }
        var left = Int.random(in: 0..<sum, using: &random)
        for index in candidates.indices where index != excluded {
            left -= candidates[index].weight
            if left < 0 { return index }
        }
        return nil
    }

    private static func isLessBusy(_ one: Candidate, than other: Candidate) -> Bool {
        one.requests * other.weight < other.requests * one.weight
    }

    /// Rendezvous hashing with weights: the highest score has the key. Without one endpoint its keys alone go to others, and a
    /// weight that grows draws keys to itself only (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005).
    private func highest(of candidates: [Candidate], _ key: UInt64) -> Int? {
        var (best, highest) = (Int?.none, 0.0)
        for index in candidates.indices where candidates[index].weight > 0 {
            let score = Double(candidates[index].weight) / -log(KeyHash.fraction(key, seeds[index]))
            if best == nil || score > highest { (best, highest) = (index, score) }
        }
        return best
    }
}

/// A hash that is the same in every process, so that all proxies send a key to the same endpoint. A client who knows the endpoints'
/// URLs can choose keys that meet: that is in the nature of it.
enum KeyHash {
    /// FNV-1a.
    static func of(_ bytes: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3 }
        return hash
    }

    /// As good as random for each pair, more than 0 and less than 1.
    static func fraction(_ key: UInt64, _ seed: UInt64) -> Double {
        var mixed = SplitMix64(state: key ^ SplitMix64.mix(seed))
        return (Double(mixed.next() >> 11) + 0.5) / 0x1p53
    }
}

/// Steele, Lea and Flood's generator: fast, small, and without any claim to be unguessable.
struct SplitMix64: RandomNumberGenerator {
    private(set) var state: UInt64

    init(state: UInt64) { self.state = state }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    static func mix(_ state: UInt64) -> UInt64 {
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
