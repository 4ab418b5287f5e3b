/// The hits of one request, and what they came to, all of them together.
struct JudgedHits {
    /// Each of them, in the order of the hits.
    private(set) var standings: [Decision.Standing] = []
    /// Of those that deny, the one that has to be waited for longest.
    private(set) var denying: Int?
    /// How many have been asked for, and not answered.
    private var missing = 0
    private var isFallback = false
    /// Nobody could count one of them, and the operator chose to let it through.
    private var isUncounted = false
    /// Nobody could count one of them, and the operator chose to deny then.
    private var isRefused = false

    init() {}

    init(_ hits: [Hit]) {
        missing = hits.count
        standings.reserveCapacity(hits.count)
        for hit in hits { standings.append(Decision.Standing(hit: hit, status: nil, receipt: nil)) }
    }

    /// Whether every hit has been judged.
    var isComplete: Bool { missing == 0 }

    /// - Returns: false where nothing is asked under this index any more.
    mutating func note(_ outcome: HitOutcome, at index: Int, nowUnixMilliseconds now: Int64) -> Bool {
        guard standings.indices.contains(index), !standings[index].isJudged else { return false }
        standings[index].isJudged = true
        missing -= 1
        let (quota, cost, isShadow) = (standings[index].hit.quota, standings[index].hit.cost, standings[index].hit.limit.isShadow)
        let status: LimitStatus
        switch outcome {
        case .counted(let counted, let receipt):
            status = counted
            if cost > 0, counted.isAdmitted { standings[index].receipt = receipt }
            if receipt.isFallback { isFallback = true }
        case .knownOver(let until): status = quota.refusal(untilUnixMilliseconds: until, nowUnixMilliseconds: now)
        case .uncounted(let isAllowed):
            guard !isShadow else { return true }
            if isAllowed { isUncounted = true } else { isRefused = true }
            return true
        }
        standings[index].status = status
        guard !status.isAdmitted, !isShadow else { return true }
        if let denying, let other = standings[denying].status, other.retryAtUnixMilliseconds >= status.retryAtUnixMilliseconds { return true }
        denying = index
        return true
    }

    var isAdmitted: Bool { denying == nil && !isRefused }

    var reasonToAllow: Reason { isUncounted ? .allowedUncounted : isFallback ? .allowedCountedLocally : .allowed }

    var reasonToDeny: Reason {
        if denying == nil { return .storeUnavailable }
        return isFallback ? .limitExceededCountedLocally : .limitExceeded
    }

    /// Nil where no limit denies.
    var exceeded: ExceededLimits? {
        guard let denying, let status = standings[denying].status else { return nil }
        let names = standings.filter { $0.isTold && $0.isOver }.map(\.hit.limit.name)
        return ExceededLimits(status: status, allowance: standings[denying].hit.allowance, names: names)
    }

    func tell(_ trace: Trace) {
        for standing in standings { trace.note(standing.hit, standing.status) }
    }
}
