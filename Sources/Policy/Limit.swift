import Bytes
import JSON

/// A limit with a name: what it counts by, and how much it lets through.
public final class Limit: Sendable {
    public let key: LimitKey
    /// Counts and reports, and never denies.
    public let isShadow: Bool
    /// What it lets through unless a plan or an override says otherwise.
    let standard: Allowance
    private let plans: Plans?
    private let overrides: [[UInt8]: Allowance]
    private let isOfUser: Bool

    /// - Parameters:
    ///   - plans: what it lets through by what a claim says.
    ///   - overrides: what it lets through for single subjects.
    public init(
        _ key: LimitKey, quota: Quota, isShadow: Bool = false,
        plans: (claim: ClaimPath, allowances: [String: Allowance.Kind])? = nil, overrides: [String: Allowance.Kind] = [:]
    ) {
        self.key = key
        self.isShadow = isShadow
        standard = Allowance(.quota(quota), of: key.name)
        self.plans = plans.map { plans in
            Plans(claim: plans.claim, allowances: plans.allowances.mapValues { Allowance($0, of: key.name) })
        }
        var bySubject: [[UInt8]: Allowance] = [:]
        for (subject, kind) in overrides { bySubject[Array(subject.utf8)] = Allowance(kind, of: key.name) }
        self.overrides = bySubject
        isOfUser = false
    }

    /// So many requests in so long for each user. Its keys are `ratelimit:SUBJECT:` and the number of the window; as that has
    /// digits only, the last colon of a key ends the subject, whatever stands in it, and no two users share a key.
    public init(ofUser count: Int, windowSeconds: Int) throws(InvalidQuota) {
        guard let key = try? LimitKey(name: "default", parts: [.subject], rule: "") else { preconditionFailure("a sound key") }
        self.key = key
        isShadow = false
        standard = Allowance(.quota(try Quota(count: count, windowSeconds: windowSeconds)), of: key.name)
        plans = nil
        overrides = [:]
        isOfUser = true
    }

    public var name: String { key.name }

    /// What it lets through for this identity: its subject's override, else its plan, else the standard.
    func allowance(for identity: Identity) -> Allowance {
        if !overrides.isEmpty, let subject = identity.subject, let override = overrides[subject] { return override }
        return plans?.allowance(for: identity) ?? standard
    }

    /// The hit of a request.
    ///
    /// - Parameter buffer: for the key while it is made.
    /// - Returns: nil where the request can't be counted, and must be denied.
    func hit(
        _ quota: Quota, _ allowance: Allowance, cost: Int, of subject: LimitSubject, _ request: borrowing RequestView, in buffer: ByteBuffer
    ) -> Hit? {
        if isOfUser {
            let key = Array("ratelimit:".utf8) + (subject.subject ?? []) + [UInt8(ascii: ":")]
            return Hit(limit: self, quota: quota, allowance: allowance, cost: cost, key: key)
        }
        buffer.clear()
        buffer.append("limit:")
        guard key.append(of: subject, request: request, to: buffer) else { return nil }
        // One key always comes with one quota: whoever has another, by a plan, counts apart. So all of it is told.
        if allowance !== standard {
            buffer.append("|quota=")
            buffer.append(decimal: quota.count)
            buffer.append("/")
            buffer.append(decimal: quota.burst)
            if case .quota(let usual) = standard.kind, quota.window != usual.window || quota.algorithm != usual.algorithm {
                buffer.append("/")
                buffer.append(decimal: quota.window.lengthSeconds)
                buffer.append("/")
                buffer.append(Array(quota.algorithm.rawValue.utf8))
            }
        }
        buffer.append(UInt8(ascii: ":"))
        return Hit(limit: self, quota: quota, allowance: allowance, cost: cost, key: buffer.bytes.array)
    }
}

/// Limits that depend on what a claim says: `plan: gold`.
private struct Plans: Sendable {
    let claim: ClaimPath
    let allowances: [String: Allowance]

    /// Nil where the claim is missing or names no plan.
    func allowance(for identity: Identity) -> Allowance? {
        claim.value(in: identity.claims)?.string.flatMap { allowances[$0] }
    }
}

/// What a limit lets through for somebody, and what is said when it is used up, made once.
public final class Allowance: Sendable {
    public enum Kind: Sendable, Hashable {
        case quota(Quota)
        /// Not counted at all.
        case unlimited
        /// Nothing at all: a deny list.
        case denied
    }

    public let kind: Kind
    /// `"NAME";q=100;w=60`: an item of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10 §3).
    public let policyItem: [UInt8]
    /// `"NAME";r=`: how an item of `RateLimit` begins (§4).
    public let standingItem: [UInt8]
    /// What a client is told that has used it up.
    let exceededMessage: [UInt8]
    /// The body of the usual answer, up to the moment at which the window ends, which is in quotes behind it: the bytes
    /// that ``DenialResponse`` makes by its template for limits of other kinds.
    let exceededBody: [UInt8]

    init(_ kind: Kind, of name: String) {
        self.kind = kind
        standingItem = Array("\"\(name)\";r=".utf8)
        guard case .quota(let quota) = kind else {
            policyItem = []
            exceededMessage = []
            exceededBody = []
            return
        }
        policyItem = Array("\"\(name)\";q=\(quota.count);w=\(quota.window.lengthSeconds)".utf8)
        exceededMessage = Array(Self.message(quota).utf8)
        exceededBody = Array(#"{"error":"Too Many Requests","message":""#.utf8) + exceededMessage + Array(#"","resetAt":""#.utf8)
    }

    private static func message(_ quota: Quota) -> String {
        let period = switch quota.window.lengthSeconds {
        case 60: "minute"
        case 1: "second"
        case let seconds: "\(seconds) seconds"
        }
        return "Rate limit exceeded. You are allowed \(quota.count) requests per \(period)."
    }
}

/// One request to be counted by one limit. A class, since one that was prepared is shared by all requests of its identity.
public final class Hit: Sendable {
    public let limit: Limit
    public let quota: Quota
    public let allowance: Allowance
    /// What it counts for. 0 asks whether one would be let through, as far as that is known without asking.
    public let cost: Int
    /// What it is counted for: one key always comes with the same quota.
    public let key: [UInt8]

    init(limit: Limit, quota: Quota, allowance: Allowance, cost: Int, key: [UInt8]) {
        self.limit = limit
        self.quota = quota
        self.allowance = allowance
        self.cost = cost
        self.key = key
    }
}

extension Limit {
    /// What a single request may cost, unless a plan or an override says otherwise.
    public var maximumCost: Int? {
        guard case .quota(let quota) = standard.kind else { return nil }
        return quota.burst
    }

    /// What it lets through unless a plan or an override says otherwise, in words.
    public var quotaText: String {
        guard case .quota(let quota) = standard.kind else { return "" }
        let burst = quota.burst == quota.count ? "" : ", at most \(quota.burst) at once"
        return "\(quota.count) in \(quota.window.lengthSeconds) s (\(quota.algorithm.rawValue)\(burst))"
    }
}
