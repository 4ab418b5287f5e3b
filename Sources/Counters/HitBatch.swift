import Policy

/// A hit whose count is on its way, and who waits for it.
struct WaitingHit {
    let receiver: any CountReceiver
    let ticket: UInt64
}

/// The hits, and the hits given back, of one key and window in one turn: one command to Redis.
struct HitBatch {
    let key: CountedKey
    let window: Window
    let number: Int64
    /// When its first hit was made.
    let unixMilliseconds: Int64
    private(set) var hitCount = 0
    private(set) var givenBack = 0
    // Most batches have one hit; that one costs no array.
    private var first: WaitingHit?
    private var others: [WaitingHit] = []

    /// When it is late, in monotonic milliseconds; known once it is sent.
    var deadline = Int64.max
    /// The previous window's count; nil where it is asked for.
    var previous: Int?
    /// Of the hits that were answered without Redis because this was late: those that it must not keep.
    var refusedLate = 0

    init(_ key: CountedKey, _ window: Window, _ number: Int64, unixMilliseconds: Int64) {
        self.key = key
        self.window = window
        self.number = number
        self.unixMilliseconds = unixMilliseconds
    }

    var change: Int { hitCount - givenBack }
    var isWaitedFor: Bool { first != nil }
    /// How long the key is to live from the first hit on, in milliseconds: to the end of the next window.
    var lifetimeMilliseconds: Int {
        min(Int(window.end(of: number + 1) * 1000 - unixMilliseconds), 2 * window.lengthSeconds * 1000)
    }

    mutating func add(_ hit: WaitingHit) {
        hitCount += 1
        if first == nil { first = hit } else { others.append(hit) }
    }

    mutating func giveBack(_ count: Int) { givenBack += count }

    /// Takes out those that wait, and calls `body` for each with its place among the hits, from 1.
    mutating func answerEach(_ body: (WaitingHit, Int) -> Void) {
        guard let first = first.take() else { return }
        body(first, 1)
        guard !others.isEmpty else { return }
        let others = self.others
        self.others = []
        for index in others.indices { body(others[index], index + 2) }
    }
}
