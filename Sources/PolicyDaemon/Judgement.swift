import Counters
import Policy

/// A request being judged: its evaluation, and the answers to what that has asked for. Large, so it is moved and never copied.
struct Judgement: ~Copyable {
    var evaluation: Evaluation
    let receiver: any DecisionReceiver
    let ticket: UInt64
    /// Monotonic, for how long it took.
    let startNanoseconds: Int64
    /// The request, kept where it is looked at again.
    var request: Request?

    private(set) var counting: Counting?
    /// How many hits are counted.
    private var hitCount = 0
    /// What revokes the token, for each of its keys.
    private var revocations: [Int64?] = []
    private var isRevocationUnknown = false
    /// How many answers are still awaited, and a bit for each that isn't: one for each of ``RuleLimits/limitsPerRule``, and for
    /// the keys that could revoke the token.
    private(set) var awaited = 0
    private var answered: UInt64 = 0

    init(_ evaluation: Evaluation, _ receiver: any DecisionReceiver, _ ticket: UInt64, startNanoseconds: Int64) {
        self.evaluation = evaluation
        self.receiver = receiver
        self.ticket = ticket
        self.startNanoseconds = startNanoseconds
    }

    /// Begins to ask for all of `counting`, which is `revocationKeyCount` questions more than it has hits.
    mutating func begin(_ counting: Counting, revocationKeyCount: Int) {
        self.counting = counting
        hitCount = counting.hits.count
        if revocationKeyCount > 0 { revocations = Array(repeating: nil, count: revocationKeyCount) }
        isRevocationUnknown = false
        awaited = hitCount + revocationKeyCount
        answered = 0
    }

    /// Notes the answer to the `index`th hit.
    mutating func note(_ outcome: HitOutcome, at index: Int) {
        evaluation.note(outcome, at: index)
        answer(index)
    }

    /// The hit that a question is about, and whether it is the only one; nil where it has been answered, or is about something else.
    func awaitedHit(_ question: Int) -> (hit: Hit, isAlone: Bool)? {
        guard awaits(question), let counting, counting.hits.indices.contains(question) else { return nil }
        return (counting.hits[question], hitCount == 1)
    }

    /// Notes the answer to a question about a key that could revoke the token; false where it is about something else.
    mutating func note(_ result: RevocationResult, question: Int) -> Bool {
        guard awaits(question), revocations.indices.contains(question - hitCount) else { return false }
        switch result {
        case .notRevoked: break
        case .revoked(let moment): revocations[question - hitCount] = moment
        case .unavailable: isRevocationUnknown = true
        }
        answer(question)
        return true
    }

    private mutating func answer(_ question: Int) {
        answered |= 1 << UInt64(question)
        awaited -= 1
    }

    /// Whether this question has not been answered.
    private func awaits(_ question: Int) -> Bool { answered & 1 << UInt64(question) == 0 }

    /// Goes on once everything has been answered.
    mutating func resume(_ request: borrowing RequestView) -> Evaluation.Action {
        var status = RevocationStatus.valid
        if let identity = counting?.revocationOf {
            // Known to be revoked is enough, whatever else could not be asked.
            status = identity.isRevoked(revocations) ? .revoked : isRevocationUnknown ? .unavailable : .valid
        }
        return evaluation.counted(revocation: status, request)
    }
}

/// Who waits for decisions that took time.
protocol DecisionReceiver: AnyObject {
    /// Brings the decision on the request that `ticket` was given for, on the worker's loop.
    func decided(_ decision: Decision, ticket: UInt64)
}
