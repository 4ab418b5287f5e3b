/// What a request came to. A class, since it passes through many hands on its way to the client.
public final class Decision {
    public let reason: Reason
    /// The reason's text where it has one of its own: that of a failed condition.
    private let ownReasonText: [UInt8]?
    /// The rule that the request was judged by; nil where none matches.
    public let rule: Rule?
    /// As whom the request is made; nil where that isn't known.
    public let known: KnownIdentity?
    /// What the rule makes of the identity; nil where the request was not judged so far.
    public let prepared: PreparedRule?
    /// How the request stands to each limit that it was counted by.
    public let standings: [Standing]
    /// What is changed for this request alone, beside what ``PreparedRule`` says for all of the identity.
    public let changes: RequestChanges
    /// The answer to the client; nil where the request is allowed.
    public let denial: Denial?
    /// How the client is told of its limits: as the rules say that it was judged by.
    public let limitFields: LimitFields

    init(
        _ reason: Reason, text: [UInt8]? = nil, rule: Rule? = nil, known: KnownIdentity? = nil, prepared: PreparedRule? = nil, standings: [Standing] = [],
        changes: RequestChanges = RequestChanges(), denial: Denial? = nil, limitFields: LimitFields
    ) {
        self.reason = reason
        ownReasonText = text
        self.rule = rule
        self.known = known
        self.prepared = prepared
        self.standings = standings
        self.changes = changes
        self.denial = denial
        self.limitFields = limitFields
    }

    /// The text of the reason: a failed condition has its own.
    public var reasonText: [UInt8] { ownReasonText ?? reason.bytes }
}

extension Decision {
    /// How a request stands to one limit.
    public struct Standing: Sendable {
        public let hit: Hit
        /// Nil where nobody could count.
        public internal(set) var status: LimitStatus?
        /// That of a hit which its limit admitted; nil for any other.
        var receipt: HitReceipt?
        var isToGiveBack = false
        /// Whether it is known what became of the hit.
        var isJudged = false

        /// What is to be given back, since a denied request is charged to nobody; nil where nothing is.
        public var toGiveBack: HitReceipt? { isToGiveBack ? receipt : nil }

        /// Whether clients are told of it: the limit is in force, and was counted.
        public var isTold: Bool { status != nil && !hit.limit.isShadow }

        /// Whether the limit denies the request, or would if it were in force.
        public var isOver: Bool { status.map { !$0.isAdmitted } ?? false }

        /// When the limit begins anew, in whole seconds from now.
        public func resetSeconds(nowUnixMilliseconds now: Int64) -> Int {
            status.map { Int(max($0.resetUnixSeconds * 1000 - now + 999, 0) / 1000) } ?? 0
        }

        var givenBack: Standing {
            var standing = self
            standing.isToGiveBack = true
            return standing
        }
    }

    /// Of the limits that are in force and were counted: the one that is closest to exhaustion.
    public var closest: Standing? { closestIndex.map { standings[$0] } }

    private var closestIndex: Int? {
        guard standings.count > 1 else { return standings.first?.isTold == true ? 0 : nil }
        var closest: Int?
        for index in standings.indices where standings[index].isTold {
            if let other = closest, let status = standings[index].status, let least = standings[other].status,
                !status.isCloser(than: least)
            { continue }
            closest = index
        }
        return closest
    }

    /// That of ``closest``.
    public var closestStatus: LimitStatus? { closestIndex.flatMap { standings[$0].status } }
}
