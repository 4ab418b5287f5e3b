import Bytes

/// What is kept for one counter key.
protocol KeyEntry: AnyObject {
    var key: [UInt8] { get }
}

/// What is kept of the keys used lately, found by the bytes of a key, and bounded.
///
/// Two generations bound it: when the young one is full it becomes the old one, and the old one is forgotten; what is used
/// again comes back into the young one. So the table keeps the half of its capacity that was used last, at the least.
///
/// A class for the reason that ``Queue`` is one.
final class RecentKeys<Entry: KeyEntry> {
    private let generationCapacity: Int
    private var young: [KeyHash: Entry] = [:]
    private var old: [KeyHash: Entry] = [:]

    /// - Parameter capacity: how many keys are kept at the most.
    init(capacity: Int) { generationCapacity = max(capacity / 2, 1) }

    var count: Int { young.count + old.count }

    /// - Parameter hash: `KeyHash(key)`.
    func find(_ key: Span<UInt8>, hash: KeyHash) -> Entry? {
        // Of two keys with one hash the later one takes the place, so that no two ever share a count.
        if let entry = young[hash] { return entry.key.span.equals(key) ? entry : nil }
        guard let entry = old[hash], entry.key.span.equals(key) else { return nil }
        old[hash] = nil
        insert(entry, hash: hash)
        return entry
    }

    func insert(_ entry: Entry, hash: KeyHash) {
        if young.count >= generationCapacity, young[hash] == nil { forgetOld() }
        young[hash] = entry
    }

    /// Forgets what wasn't used since the last time.
    func forgetOld() {
        old = young
        // As many will come again, most likely: growing step by step would hash them all several times.
        young = Dictionary(minimumCapacity: min(old.count, generationCapacity))
    }
}
