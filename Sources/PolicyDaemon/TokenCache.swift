import Bytes

/// The tokens verified before, found by their bytes until they expire. Belongs to one worker.
///
/// A table of sets of eight: a token may stand in one set only, and a new one takes the place of the set's oldest. So it is
/// bounded without any list of what was used when, and a lookup reads one cache line before it reads the token.
final class TokenCache {
    /// Longer tokens are verified each time, so that the cache has a limit in bytes too.
    static let maximumTokenBytes = 4096
    /// The end of a token is the end of its signature, and so as good as random: the hash needs no more than this.
    private static let hashedBytes = 16
    private static let setSize = 8

    /// The hash of each place's token; 0 where the place is free.
    private var hashes: [UInt64]
    private var tokens: [KnownToken?]
    /// Which place of each set is to be taken next.
    private var oldest: [UInt8]
    private let setMask: UInt64
    // Drawn anew by each process, so that nobody can prepare tokens which crowd one set.
    private let seeds = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))

    /// - Parameter capacity: how many tokens are known at the most; rounded down to a power of two, at least 8.
    init(capacity: Int) {
        let sets = max(capacity / Self.setSize, 1)
        let setCount = 1 << (Int.bitWidth - 1 - sets.leadingZeroBitCount)
        hashes = Array(repeating: 0, count: setCount * Self.setSize)
        tokens = Array(repeating: nil, count: setCount * Self.setSize)
        oldest = Array(repeating: 0, count: setCount)
        setMask = UInt64(setCount - 1)
    }

    var capacity: Int { hashes.count }

    /// What is known of exactly these bytes; nil at or after the token's expiry. `now` in Unix seconds.
    func knownToken(_ token: Span<UInt8>, now: Double) -> KnownToken? {
        guard let hash = hash(token), let place = place(of: token, hash), let known = tokens[place], now < known.expiresAt
        else { return nil }
        return known
    }

    func store(_ known: KnownToken) {
        let bytes = known.token
        let token = bytes.span
        guard token.count <= Self.maximumTokenBytes, let hash = hash(token) else { return }
        if let place = place(of: token, hash) {
            tokens[place] = known
            return
        }
        let set = Int(hash & setMask)
        let place = set * Self.setSize + Int(oldest[set])
        oldest[set] = (oldest[set] + 1) % UInt8(Self.setSize)
        hashes[place] = hash
        tokens[place] = known
    }

    private func place(of token: Span<UInt8>, _ hash: UInt64) -> Int? {
        let first = Int(hash & setMask) * Self.setSize
        for place in first..<first + Self.setSize where hashes[place] == hash {
            if let bytes = tokens[place]?.token, bytes.span.equals(token) { return place }
        }
        return nil
    }

    private func hash(_ token: Span<UInt8>) -> UInt64? {
        guard token.count >= Self.hashedBytes else { return nil }
        let end = unsafe token.bytes.extracting(token.count - Self.hashedBytes..<token.count)
        let left = unsafe end.unsafeLoadUnaligned(as: UInt64.self) ^ seeds.0
        let right = unsafe end.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self) ^ seeds.1
        let product = left.multipliedFullWidth(by: right)
        let hash = product.high ^ product.low
        return hash == 0 ? 1 : hash
    }
}
