/// Which replies a piece of the pipeline will have, in this order.
struct ExpectedReplies: OptionSet {
    let rawValue: UInt8

    /// To `SET … NX`, which gives a key its expiry.
    static let birth = Self(rawValue: 1)
    /// To `INCRBY`.
    static let change = Self(rawValue: 2)
    /// To `GET` of the previous window.
    static let previous = Self(rawValue: 4)
    /// To `PEXPIRE`.
    static let expiry = Self(rawValue: 8)
    /// To `PING`.
    static let pong = Self(rawValue: 16)
}

/// A piece of the pipeline on its way. One that changes a count has its ``HitBatch`` in a queue beside.
struct SentCommands {
    let expected: ExpectedReplies
    /// Monotonic milliseconds.
    let deadline: Int64
}

/// The replies to one ``SentCommands``, as far as they are there.
struct PartialAnswer {
    private(set) var missing: ExpectedReplies = []
    /// What `INCRBY` made of the count.
    private(set) var count = 0
    /// The previous window's count.
    private(set) var previous = 0
    /// Whether Redis won't do this with this one key, which somebody has put to another use.
    private(set) var isRefused = false

    init(missing: ExpectedReplies = []) { self.missing = missing }

    /// Takes the next reply. Returns what is wrong where the store is as good as lost.
    mutating func take(_ reply: RedisReply) -> String? {
        if case .error(let text) = reply {
            guard Self.concernsOneKey(text) else { return text }
            isRefused = true
        }
        let next = missing.first
        missing.remove(next)
        switch (next, reply) {
        case (.change, .integer(let number)): count = Self.plausible(number)
        case (.previous, .integer(let number)): previous = Self.plausible(number)
        // A text, say: not a number, and not ours.
        case (.previous, .text): isRefused = true
        case (.change, .null), (.change, .text): return "it answered INCRBY with no number"
        default: break
        }
        return nil
    }

    /// Everything else (`READONLY`, `OOM`, `LOADING`, `MISCONF`, `NOAUTH`, `NOPERM` …) would meet the next hit too.
    private static func concernsOneKey(_ error: String) -> Bool {
        error.hasPrefix("WRONGTYPE") || error.hasPrefix("ERR value is not an integer")
            || error.hasPrefix("ERR increment or decrement would overflow")
    }

    /// No hits make more than this. What somebody else wrote into the key must not overflow what is reckoned with it.
    private static func plausible(_ number: Int64) -> Int { Int(min(max(number, -(1 << 60)), 1 << 60)) }
}

extension ExpectedReplies {
    /// The one that comes next.
    fileprivate var first: Self { Self(rawValue: rawValue & (~rawValue &+ 1)) }
}
