import Bytes

/// What is kept for one counter key.
protocol KeyEntry: AnyObject {
    var key: [UInt8] { get }
    /// What it takes of the table's capacity, at least 1.
    var weight: Int { get }
    /// From when on nobody will miss it; milliseconds since 1970.
    var mattersUntil: Int64 { get }
}

/// What is kept of the keys used lately, found by the bytes of a key, and bounded.
///
/// What no longer matters is forgotten now and then. Where that isn't enough, two generations bound the table: when the young
/// one is full it becomes the old one, and the old one is forgotten; what is used again comes back into the young one. So the
/// table keeps the quarter of its capacity that was used last, at the least.
///
/// A class for the reason that ``Queue`` is one.
final class RecentKeys<Entry: KeyEntry> {
    private let generationCapacity: Int
    private var young: [KeyHash: Entry] = [:]
    private var old: [KeyHash: Entry] = [:]
    private var youngWeight = 0
    /// How much may come in before it is looked for what no longer matters: so much that looking is cheap for each of them.
    private var untilCleaning = leastBetweenCleanings

    private static var leastBetweenCleanings: Int { 64 }

    /// - Parameter capacity: how much is kept at the most, by weight.
    init(capacity: Int) { generationCapacity = max(capacity / 2, 1) }

    var count: Int { young.count + old.count }

    /// - Parameters:
    ///   - hash: `KeyHash(key)`.
    ///   - now: milliseconds since 1970.
    func find(_ key: Span<UInt8>, hash: KeyHash, now: Int64) -> Entry? {
        // Of two keys with one hash the later one takes the place, so that no two ever share a count.
        if let entry = young[hash] { return entry.key.span.equals(key) ? entry : nil }
        guard let entry = old[hash], entry.key.span.equals(key) else { return nil }
        old[hash] = nil
        insert(entry, hash: hash, now: now)
        return entry
    }

    func insert(_ entry: Entry, hash: KeyHash, now: Int64) {
        if untilCleaning <= 0 || youngWeight >= generationCapacity { makeRoom(now) }
        let weight = entry.weight
        untilCleaning -= weight
        // Taken out and put back: so a look-up needs no check at run time for the table being changed under it.
        var young = exchange(&self.young, with: [:])
        youngWeight += weight - (young.updateValue(entry, forKey: hash)?.weight ?? 0)
        self.young = young
    }

    /// Told where an entry just found or inserted has become heavier, or lighter.
    func changeWeight(by change: Int) {
        youngWeight += change
        untilCleaning -= max(change, 0)
    }

    private func makeRoom(_ now: Int64) {
        young = young.filter { $0.value.mattersUntil > now }
        old = old.filter { $0.value.mattersUntil > now }
        youngWeight = young.values.reduce(0) { $0 + $1.weight }
        if youngWeight > generationCapacity / 2 {
            old = young
            young = [:]
            youngWeight = 0
        }
        untilCleaning = max((young.count + old.count) / 2, Self.leastBetweenCleanings)
    }
}
