import Bytes
import Policy
import Testing

@testable import Counters

// MARK: Windows

@Test func `the counts of a key's windows are those of a table without limits`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
        var windows = RecentWindows(newest: 100)
        var reference: [Int64: Int] = [:]
        var newest: Int64 = 100
        for _ in 0..<40 {
            newest += [0, 0, 0, 1, 1, 2, 5].randomElement(using: &random) ?? 0
            let number = newest - Int64.random(in: 0...1, using: &random)
            if Bool.random(using: &random) {
                reference[number, default: 0] += 1
                let counts = windows.hit(number, cost: 1, startingFrom: WindowCounts(current: 0, previous: 0))
                #expect(counts == WindowCounts(current: reference[number] ?? 0, previous: reference[number - 1] ?? 0))
            } else {
                reference[number] = max((reference[number] ?? 0) - 1, 0)
                windows.giveBack(number, cost: 1)
            }
        }
    }
}

@Test func `counts start from what was counted elsewhere, once`() {
    var windows = RecentWindows(newest: 7)
    let floor = WindowCounts(current: 60, previous: 30)
    #expect(windows.hit(7, cost: 1, startingFrom: floor) == WindowCounts(current: 61, previous: 30))
    #expect(windows.hit(7, cost: 1, startingFrom: floor) == WindowCounts(current: 62, previous: 30))
    windows.giveBack(7, cost: 1)
    #expect(windows.seen(from: 8) == WindowCounts(current: 0, previous: 61))
    #expect(windows.seen(from: 6) == WindowCounts(current: 30, previous: 0))
}

@Test func `a clock that was set back far starts anew`() {
    var windows = RecentWindows(newest: 1000)
    let nothing = WindowCounts(current: 0, previous: 0)
    _ = windows.hit(1000, cost: 1, startingFrom: nothing)
    #expect(windows.hit(10, cost: 1, startingFrom: nothing) == WindowCounts(current: 1, previous: 0))
}

// MARK: Keys

private final class Named: KeyEntry {
    let key: [UInt8]
    let weight: Int
    let mattersUntil: Int64
    init(_ name: String, weight: Int = 1, mattersUntil: Int64 = .max) {
        key = Array(name.utf8)
        self.weight = weight
        self.mattersUntil = mattersUntil
    }
}

extension RecentKeys {
    fileprivate func entry(_ name: String, hash: UInt64? = nil, now: Int64 = 0) -> Entry? {
        let key = Array(name.utf8)
        return find(key.span, hash: hash.map(KeyHash.init(value:)) ?? KeyHash(key.span), now: now)
    }

    fileprivate func add(_ entry: Entry, now: Int64 = 0) {
        let key = entry.key
        insert(entry, hash: KeyHash(key.span), now: now)
    }
}

@Test func `the keys used last are kept and the rest is forgotten`() {
    let keys = RecentKeys<Named>(capacity: 100)
    let favourite = Named("favourite")
    keys.add(favourite)
    for number in 0..<10_000 {
        let entry = Named("key \(number)")
        keys.add(entry)
        #expect(keys.count <= 100)
        #expect(keys.entry("favourite") === favourite)
        #expect(keys.entry("key \(number)") === entry)
    }
    #expect(keys.entry("key 0") == nil)
}

@Test func `what no longer matters goes first, however lately it was used`() {
    let keys = RecentKeys<Named>(capacity: 400)
    for number in 0..<90 { keys.add(Named("month \(number)", mattersUntil: 1_000_000)) }
    for number in 0..<100_000 { keys.add(Named("second \(number)", mattersUntil: Int64(number) + 10), now: Int64(number)) }
    #expect(keys.count <= 90 + 2 * 64 + 10)
    for number in 0..<90 { #expect(keys.entry("month \(number)") != nil) }
}

@Test func `a heavy entry takes the room of several`() {
    let keys = RecentKeys<Named>(capacity: 100)
    for number in 0..<1000 {
        keys.add(Named("key \(number)", weight: 10))
        #expect(keys.count <= 12)
    }
}

@Test func `two keys of one hash are never taken for each other`() {
    let keys = RecentKeys<Named>(capacity: 100)
    let (first, second) = (Named("first"), Named("second"))
    keys.insert(first, hash: KeyHash(value: 1), now: 0)
    #expect(keys.entry("second", hash: 1) == nil)
    keys.insert(second, hash: KeyHash(value: 1), now: 0)
    #expect(keys.entry("second", hash: 1) === second)
    #expect(keys.entry("first", hash: 1) == nil)
}

@Test func `keys that differ in one byte anywhere have different hashes`() {
    for length in 1...40 {
        let key = [UInt8](repeating: 0, count: length)
        var hashes: Set = [KeyHash(key.span).value, KeyHash((key + [0]).span).value]
        for index in 0..<length {
            var other = key
            other[index] = 1
            let isTakenForOther = key.span.equals(other.span)
            #expect(!isTakenForOther)
            hashes.insert(KeyHash(other.span).value)
        }
        #expect(hashes.count == length + 2)
        let copy = [UInt8](repeating: 0, count: length)
        let isTakenForItself = key.span.equals(copy.span)
        #expect(isTakenForItself)
    }
}

// MARK: What is asked of Redis

@Test func `a key's expiry and its previous count are asked for once`() {
    let minute = Window(lengthSeconds: 60)
    let key = CountedKey(key: [], mattersUntil: 0)
    var wanted = key.ask(10, epoch: 1)
    #expect(wanted.birth && wanted.previous == nil)
    wanted = key.ask(10, epoch: 1)
    #expect(!wanted.birth && wanted.previous == nil)
    // One second into the window the one before may still change.
    key.note(10, previous: 5, window: minute, askedAtUnixMilliseconds: 601_000, epoch: 1)
    #expect(key.ask(10, epoch: 1).previous == nil)
    key.note(10, previous: 4, window: minute, askedAtUnixMilliseconds: 602_000, epoch: 1)
    #expect(key.ask(10, epoch: 1).previous == 4)
    // Another connection may lead to another Redis, and the next window is another key.
    wanted = key.ask(10, epoch: 2)
    #expect(wanted.birth && wanted.previous == nil)
    key.note(10, current: 77)
    wanted = key.ask(11, epoch: 2)
    #expect(wanted.birth && wanted.previous == nil)
    #expect(key.seen(from: 11) == WindowCounts(current: 0, previous: 77))
    // A late one of the window before changes nothing of that.
    wanted = key.ask(10, epoch: 2)
    #expect(wanted.birth && wanted.previous == nil)
    #expect(!key.ask(11, epoch: 2).birth)
}

// MARK: The queue

@Test func `a queue gives back what it was given, in order, and lets go of it`() {
    final class Thing {
        let number: Int
        init(_ number: Int) { self.number = number }
    }
    let queue = Queue<Thing>(capacity: 2)
    var next = 0
    var expected = 0
    weak var first: Thing?
    for round in 1...50 {
        for _ in 0..<round {
            let thing = Thing(next)
            if next == 0 { first = thing }
            queue.append(thing)
            next += 1
        }
        for _ in 0..<(round / 2 + 1) {
            guard let thing = queue.popFirst() else { break }
            #expect(thing.number == expected)
            expected += 1
        }
        if !queue.isEmpty { #expect(queue[queue.count - 1].number == next - 1) }
    }
    #expect(first == nil)
}
