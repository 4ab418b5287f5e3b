import Bytes
import Policy

// What a batch for a bucket or a log says to Redis, and how the answer is understood.
extension HitBatch {
    /// Writes the command of a batch that runs a script.
    func appendScript(to output: ByteBuffer) {
        switch work {
        case .hits(let quota, let cost): appendHits(quota, cost, to: output)
        case .givingBack(let quota, let cost): appendGivingBack(quota, cost, to: output)
        case .window, .lookup: break
        }
    }

    private func appendHits(_ quota: Quota, _ cost: Int, to output: ByteBuffer) {
        let now = Int(unixMilliseconds)
        if quota.algorithm == .tokenBucket {
            let (hit, bucket) = (quota.refillTime(of: cost), quota.refillTime(of: quota.burst))
            output.appendEvaluation(
                of: .bucketHit, asSource: sendsSource, key.bucketKey,
                [
                    now, quota.count, Int(hit.milliseconds), Int(hit.parts), Int(bucket.milliseconds), Int(bucket.parts),
                    hitCount,
                ])
        } else {
            output.appendEvaluation(
                of: .logHit, asSource: sendsSource, key.logKey,
                [now, quota.window.lengthSeconds * 1000, quota.count, cost, hitCount, firstID])
        }
    }

    private func appendGivingBack(_ quota: Quota, _ cost: Int, to output: ByteBuffer) {
        if quota.algorithm == .tokenBucket {
            let time = quota.refillTime(of: min(givenBack, quota.burst))
            output.appendEvaluation(
                of: .bucketGiveBack, asSource: sendsSource, key.bucketKey,
                [Int(unixMilliseconds), quota.count, Int(time.milliseconds), Int(time.parts)])
        } else {
            output.appendEvaluation(of: .logGiveBack, asSource: sendsSource, key.logKey, [cost] + givenBackIDs)
        }
    }
}

extension LimitState {
    /// As a script found it.
    init(_ quota: Quota, found numbers: PartialAnswer.Numbers) {
        if quota.algorithm == .tokenBucket {
            self = .bucket(TokenBucket(fullAtMilliseconds: numbers.0, fullAtParts: numbers.1))
        } else {
            self = .log(
                LogView(
                    used: Int(numbers.0), newestUnixMilliseconds: numbers.1, roomAtUnixMilliseconds: numbers.2))
        }
    }

    /// Judges one hit after the other, as the script did.
    ///
    /// - Parameter id: what the hit is called in a log.
    mutating func hit(
        _ quota: Quota, cost: Int, id: Int, nowUnixMilliseconds now: Int64
    ) -> (found: LimitState, charge: HitReceipt.Charge) {
        let found = self
        switch self {
        case .bucket(var bucket):
            guard bucket.hit(quota, cost: cost, nowUnixMilliseconds: now).isAdmitted else { return (found, .nothing) }
            self = .bucket(bucket)
            return (found, .bucket(refilledAtUnixMilliseconds: bucket.refilledAtUnixMilliseconds))
        case .log(var view):
            guard view.used <= quota.count - cost else { return (found, .nothing) }
            view.used += cost
            view.newestUnixMilliseconds = now
            self = .log(view)
            return (found, .log(id: id))
        case .windows: return (found, .nothing)
        }
    }
}
