import Policy

/// Somebody who waits for an answer: for the count of a hit, or, at no cost, for what was looked up.
struct WaitingHit {
    let receiver: any CountReceiver
    let ticket: UInt64
    let cost: Int
}

/// What is asked of Redis for one key in one turn, by all who want the same: one command.
struct HitBatch {
    enum Work: Equatable {
        /// Counts hits in the window of this number, and hits given back.
        case window(Quota, Int64)
        /// Has a script judge hits of one cost, for a bucket or a log.
        case hits(Quota, cost: Int)
        /// Has a script take back hits of one cost.
        case givingBack(Quota, cost: Int)
        /// Gets a value.
        case lookup
    }

    let key: CountedKey
    let work: Work
    /// When its first hit was made.
    let unixMilliseconds: Int64
    private(set) var hitCount = 0
    /// What its hits cost together.
    private(set) var cost = 0
    /// What those cost that are given back, and for a log their ids.
    private(set) var givenBack = 0
    private(set) var givenBackIDs: [Int] = []
    // Most batches have one hit; that one costs no array.
    private var first: WaitingHit?
    private var others: [WaitingHit] = []

    /// When it is late, in monotonic milliseconds; known once it is sent.
    var deadline = Int64.max
    /// The previous window's count; nil where it is asked for.
    var previous: Int?
    /// What is to be asked here, since another node of the cluster has sent it here.
    var redo: RedoneCommands?
    /// Whether its hits were answered without Redis because this was late.
    var isLate = false
    /// The id of the first hit in a log; the next ones follow.
    var firstID = 0
    /// Whether its script is to be sent whole, since Redis has forgotten it.
    var sendsSource = false

    init(_ key: CountedKey, _ work: Work, unixMilliseconds: Int64) {
        self.key = key
        self.work = work
        self.unixMilliseconds = unixMilliseconds
    }

    var isWaitedFor: Bool { first != nil }
    /// Whether it has been sent before, and so is late earlier than those that are sent with it.
    var isOutOfOrder: Bool { redo != nil || sendsSource }

    mutating func add(_ hit: WaitingHit) {
        hitCount += 1
        cost += hit.cost
        if first == nil { first = hit } else { others.append(hit) }
    }

    /// What a node of a cluster would not do, and what it did.
    struct RedoneCommands {
        let missing: ExpectedReplies
        let answer: PartialAnswer
        let isAsking: Bool
    }

    mutating func giveBack(_ cost: Int, id: Int? = nil) {
        givenBack += cost
        if let id { givenBackIDs.append(id) }
    }

    /// Takes out those that wait, and calls `body` for each with what it and the ones before it cost.
    mutating func answerEach(_ body: (WaitingHit, Int) -> Void) {
        guard let first = first.take() else { return }
        body(first, first.cost)
        guard !others.isEmpty else { return }
        let others = self.others
        self.others = []
        var sum = first.cost
        for hit in others {
            sum += hit.cost
            body(hit, sum)
        }
    }
}
