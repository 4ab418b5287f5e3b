import Bytes
import Policy

/// The credentials that were found good, found by their bytes until they expire. Belongs to one worker.
///
/// A table of sets of eight: a credential may stand in one set only, and a new one takes the place of the set's oldest. So it is
/// bounded without any list of what was used when, and a lookup reads one cache line before it reads the credential.
final class CredentialCache {
    /// Longer ones are verified each time, so that the cache has a limit in bytes too.
    static let maximumCredentialBytes = 4096
    /// The end of a token is the end of its signature, and so as good as random: the hash needs no more than this.
    private static let hashedBytes = 16
    private static let setSize = 8

    private struct Entry {
        let credential: [UInt8]
        let kind: CredentialKind
        let known: KnownIdentity
        /// Unix seconds; it is good before this moment only.
        let expiresAtUnixSeconds: Double

        func isOf(_ credential: Span<UInt8>, _ kind: CredentialKind) -> Bool {
            self.kind == kind && self.credential.span.equals(credential)
        }
    }

    /// The hash of each place's credential; 0 where the place is free.
    private var hashes: [UInt64]
    private var entries: [Entry?]
    /// Which place of each set is to be taken next.
    private var oldest: [UInt8]
    private let setMask: UInt64
    // Drawn anew by each process, so that nobody can prepare such as crowd one set.
    private let seeds = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))

    /// - Parameter capacity: how many are known at the most; rounded down to a power of two, at least 8.
    init(capacity: Int) {
        let sets = max(capacity / Self.setSize, 1)
        let setCount = 1 << (Int.bitWidth - 1 - sets.leadingZeroBitCount)
        hashes = Array(repeating: 0, count: setCount * Self.setSize)
        entries = Array(repeating: nil, count: setCount * Self.setSize)
        oldest = Array(repeating: 0, count: setCount)
        setMask = UInt64(setCount - 1)
    }

    var capacity: Int { hashes.count }

    /// Who exactly these bytes stand for; nil at or after their expiry.
    func identity(of credential: Span<UInt8>, _ kind: CredentialKind, nowUnixSeconds now: Double) -> KnownIdentity? {
        guard let hash = hash(credential) else { return nil }
        let first = Int(hash & setMask) * Self.setSize
        for place in first..<first + Self.setSize where hashes[place] == hash {
            if let entry = entries[place], entry.isOf(credential, kind) { return now < entry.expiresAtUnixSeconds ? entry.known : nil }
        }
        return nil
    }

    func store(_ credential: Span<UInt8>, _ kind: CredentialKind, _ known: KnownIdentity, expiresAtUnixSeconds: Double) {
        guard credential.count <= Self.maximumCredentialBytes, let hash = hash(credential) else { return }
        // Taken out and put back: so a look-up needs no check at run time for an entry being changed under it.
        var (entries, hashes) = (exchange(&self.entries, with: []), exchange(&self.hashes, with: []))
        defer { (self.entries, self.hashes) = (entries, hashes) }
        let entry = Entry(credential: credential.array, kind: kind, known: known, expiresAtUnixSeconds: expiresAtUnixSeconds)
        let set = Int(hash & setMask)
        let held = (set * Self.setSize..<(set + 1) * Self.setSize).first { hashes[$0] == hash && entries[$0]?.isOf(credential, kind) == true }
        let place = held ?? takeOldest(of: set)
        hashes[place] = hash
        entries[place] = entry
    }

    private func takeOldest(of set: Int) -> Int {
        let number = oldest[set]
        oldest[set] = (number + 1) % UInt8(Self.setSize)
        return set * Self.setSize + Int(number)
    }

    private func hash(_ credential: Span<UInt8>) -> UInt64? {
        guard credential.count >= Self.hashedBytes else { return nil }
        let end = unsafe credential.bytes.extracting(credential.count - Self.hashedBytes..<credential.count)
        let left = unsafe end.unsafeLoadUnaligned(as: UInt64.self) ^ seeds.0
        let right = unsafe end.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self) ^ seeds.1
        let product = left.multipliedFullWidth(by: right)
        let hash = product.high ^ product.low
        return hash == 0 ? 1 : hash
    }
}
