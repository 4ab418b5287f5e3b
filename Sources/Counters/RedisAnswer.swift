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
    /// To `EVALSHA`, or `EVAL` where the script was lost.
    static let script = Self(rawValue: 32)
    /// To `GET` of something that may be revoked.
    static let value = Self(rawValue: 64)
    /// To the question for the time.
    static let clock = Self(rawValue: 128)

    /// Of those, the ones by which a batch is answered.
    static let batch: Self = [.change, .script, .value]
}

/// A piece of the pipeline on its way. One that answers a batch has its ``HitBatch`` in a queue beside.
struct SentCommands {
    let expected: ExpectedReplies
    /// Monotonic milliseconds.
    let deadline: Int64
    /// Where it goes on from what another node of the cluster has answered.
    var redo: HitBatch.RedoneCommands?
}

/// The replies to one ``SentCommands``, as far as they are there.
struct PartialAnswer {
    typealias Numbers = (Int64, Int64, Int64)

    private(set) var missing: ExpectedReplies = []
    /// What `INCRBY` made of the count.
    private(set) var count = 0
    /// The previous window's count.
    private(set) var previous = 0
    /// What a script found.
    private(set) var numbers: Numbers = (0, 0, 0)
    /// What a looked up key holds, or the time; nil for nothing. The end of time for what is no number.
    private(set) var value: Int64?
    /// Whether Redis has forgotten the script that it was to run, and so has done nothing.
    private(set) var isScriptMissing = false
    /// Whether Redis won't do this with this one key, which somebody has put to another use.
    private(set) var isRefused = false
    /// Where a cluster's node sends us with those of the commands that it didn't do.
    private(set) var redirect: RedisRedirect?
    private(set) var redirected: ExpectedReplies = []
    /// Whether `ASKING` stands before each command, and whether its reply comes next.
    private var isAsking = false
    private var isAskingNext = false

    init() {}

    init(_ commands: SentCommands) {
        if let redo = commands.redo {
            (count, previous) = (redo.answer.count, redo.answer.previous)
            (isAsking, isAskingNext) = (redo.isAsking, redo.isAsking)
        }
        missing = commands.expected
    }

    /// Takes the next reply. Returns what is wrong where the store is as good as lost.
    mutating func take(_ reply: RedisReply) -> String? {
        if case .error(let text) = reply {
            if text.hasPrefix("NOSCRIPT") {
                isScriptMissing = true
            } else {
                switch RedisErrorScope(text) {
                case .key, .slot: isRefused = true
                case .redirect(let redirect):
                    self.redirect = redirect
                    redirected.insert(missing.first)
                case .store: return text
                }
            }
        }
        if isAskingNext {
            isAskingNext = false
            return nil
        }
        isAskingNext = isAsking
        let next = missing.first
        missing.remove(next)
        switch (next, reply) {
        case (.change, .integer(let number)): count = Self.plausible(number)
        case (.previous, .integer(let number)): previous = Self.plausible(number)
        // A text, say: not a number, and not ours.
        case (.previous, .text): isRefused = true
        case (.change, .null), (.change, .text): return "it answered INCRBY with no number"
        case (.script, .text(let text)): numbers = Self.numbers(in: text)
        case (.value, .integer(let number)), (.clock, .integer(let number)): value = number
        case (.value, .text): value = .max
        default: break
        }
        return nil
    }

    /// Whole numbers, 0 or more, with blanks between them.
    private static func numbers(in text: String) -> Numbers {
        let numbers = text.split(separator: " ").map { Int64(plausible(max(Int64($0) ?? 0, 0))) } + [0, 0, 0]
        return (numbers[0], numbers[1], numbers[2])
    }

    /// No hits make more than this. What somebody else wrote into the key must not overflow what is reckoned with it.
    private static func plausible(_ number: Int64) -> Int { Int(min(max(number, -(1 << 60)), 1 << 60)) }
}

extension ExpectedReplies {
    /// The one that comes next.
    fileprivate var first: Self { Self(rawValue: rawValue & (~rawValue &+ 1)) }
}
