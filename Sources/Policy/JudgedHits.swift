/// What the hits of one request came to, all of them together.
struct JudgedHits {
    /// Each of them, in the order of the hits.
    private(set) var standings: [Decision.Standing] = []
    /// Of those that deny, the one that has to be waited for longest.
    private(set) var denying: Int?
    private var isFallback = false
    /// Nobody could count one of them, and the operator chose to let it through.
    private var isUncounted = false
    /// Nobody could count one of them, and the operator chose to deny then.
    private var isRefused = false

    /// - Parameter outcomes: one for each hit.
    init(_ hits: [Hit], _ outcomes: [HitOutcome], nowUnixMilliseconds now: Int64) {
        standings.reserveCapacity(hits.count)
        for index in hits.indices { judge(hits[index], outcomes[index], now) }
    }

    private mutating func judge(_ hit: Hit, _ outcome: HitOutcome, _ now: Int64) {
        var status: LimitStatus?
        var receipt: HitReceipt?
        switch outcome {
        case .counted(let counted, let given):
            status = counted
            if hit.cost > 0, counted.isAdmitted { receipt = given }
            if given.isFallback { isFallback = true }
        case .knownOver(let until): status = hit.quota.refusal(untilUnixMilliseconds: until, nowUnixMilliseconds: now)
        case .uncounted(let isAllowed) where !hit.limit.isShadow:
            if isAllowed { isUncounted = true } else { isRefused = true }
        case .uncounted: break
        }
        standings.append(Decision.Standing(hit: hit, status: status, receipt: receipt))
        guard let status, !status.isAdmitted, !hit.limit.isShadow else { return }
        if let denying, let other = standings[denying].status, other.retryAtUnixMilliseconds >= status.retryAtUnixMilliseconds { return }
        denying = standings.count - 1
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
