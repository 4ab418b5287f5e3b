import Testing

@testable import ReverseProxy

@Suite struct `The circuit breaker` {
    private func rules(_ change: (inout CircuitBreakerRules) -> Void) -> CircuitBreakerRules {
        var rules = CircuitBreakerRules()
        change(&rules)
        return rules
    }

    private func pass(_ breaker: inout CircuitBreaker, now: Int64) -> CircuitBreaker.Pass? {
        if case .admitted(let pass) = breaker.admit(now: now).0 { pass } else { nil }
    }

    /// - Returns: the state where it has changed.
    private func request(_ breaker: inout CircuitBreaker, _ outcome: CircuitBreaker.Outcome, now: Int64) -> CircuitBreaker.State? {
        guard let pass = pass(&breaker, now: now) else { return nil }
        return breaker.ended(pass, outcome, now: now)
    }

    @Test func `opens after so many failures in a row, refuses for its time, probes once and closes`() throws {
        var breaker = CircuitBreaker(rules { ($0.consecutiveFailures, $0.openMilliseconds) = (3, 1000) })
        #expect(request(&breaker, .failed, now: 0) == nil)
        #expect(request(&breaker, .failed, now: 1) == nil)
        #expect(request(&breaker, .succeeded, now: 2) == nil)
        #expect(request(&breaker, .failed, now: 3) == nil)
        #expect(request(&breaker, .unknown, now: 4) == nil)
        #expect(request(&breaker, .failed, now: 5) == nil)
        #expect(request(&breaker, .failed, now: 6) == .open(until: 1006))
        let (refusal, unchanged) = breaker.admit(now: 7)
        #expect(refusal == .refused(afterMilliseconds: 999) && unchanged == nil)
        #expect(breaker.refusal(now: 1005) == 1)
        #expect(breaker.refusal(now: 1006) == nil)
        let (admission, change) = breaker.admit(now: 1006)
        #expect(change == .halfOpen(isProbing: true))
        guard case .admitted(let probe) = admission else { throw TestFailure() }
        #expect(pass(&breaker, now: 1006) == nil)
        #expect(breaker.ended(probe, .succeeded, now: 1010) == .closed)
        #expect(request(&breaker, .failed, now: 1011) == nil)
    }

    @Test func `stays open where the probe fails, and probes anew where nobody can say`() {
        var breaker = CircuitBreaker(rules { ($0.consecutiveFailures, $0.openMilliseconds) = (1, 100) })
        #expect(request(&breaker, .failed, now: 0) == .open(until: 100))
        #expect(request(&breaker, .failed, now: 100) == .open(until: 200))
        #expect(request(&breaker, .unknown, now: 200) == nil)
        #expect(breaker.state == .halfOpen(isProbing: false))
        #expect(request(&breaker, .succeeded, now: 200) == .closed)
    }

    @Test func `doesn't take the end of an old request for news`() throws {
        var breaker = CircuitBreaker(rules { ($0.consecutiveFailures, $0.openMilliseconds) = (1, 100) })
        let old = try #require(pass(&breaker, now: 0))
        let other = try #require(pass(&breaker, now: 0))
        #expect(request(&breaker, .failed, now: 0) == .open(until: 100))
        #expect(breaker.ended(old, .succeeded, now: 50) == nil)
        let probe = try #require(pass(&breaker, now: 100))
        #expect(breaker.ended(other, .failed, now: 100) == nil)
        #expect(breaker.ended(probe, .succeeded, now: 101) == .closed)
    }

    @Test func `opens at an error rate, of enough requests, in its window`() {
        let rules = rules { ($0.errorPercent, $0.minimumRequests, $0.windowMilliseconds) = (50, 10, 1000) }
        var breaker = CircuitBreaker(rules)
        for _ in 0..<5 { _ = request(&breaker, .failed, now: 0) }
        for _ in 0..<4 { #expect(request(&breaker, .succeeded, now: 500) == nil) }
        // By now the first five are forgotten.
        for _ in 0..<4 { #expect(request(&breaker, .succeeded, now: 1100) == nil) }
        for _ in 0..<7 { #expect(request(&breaker, .failed, now: 1200) == nil) }
        #expect(request(&breaker, .failed, now: 1200) == .open(until: 6200))
    }

    /// Whatever happens in whatever order: an open breaker admits nobody before its time, a half-open one nobody beside the probe,
    /// and one that is left alone admits somebody in the end.
    @Test(arguments: UInt64(1)...30)
    func `holds its promises whatever happens`(seed: UInt64) throws {
        var random = SplitMix64(state: seed)
        var breaker = CircuitBreaker(rules { ($0.consecutiveFailures, $0.errorPercent, $0.openMilliseconds) = (3, 60, 50) })
        var now: Int64 = 0
        var inFlight: [CircuitBreaker.Pass] = []
        for _ in 0..<3000 {
            now += Int64.random(in: 0...5, using: &random)
            let before = breaker.state
            if Bool.random(using: &random) || inFlight.isEmpty {
                let (admission, _) = breaker.admit(now: now)
                switch (before, admission) {
                case (.open(let until), .admitted): #expect(now >= until)
                case (.open(let until), .refused(let wait)): #expect(until - now == wait && wait > 0)
                case (.halfOpen(let isProbing), .admitted): #expect(!isProbing)
                case (.halfOpen(let isProbing), .refused): #expect(isProbing)
                case (.closed, .admitted): break
                case (.closed, .refused): Issue.record("refused while closed")
                }
                if case .admitted(let pass) = admission { inFlight.append(pass) }
            } else {
                let pass = inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &random))
                let outcome = [CircuitBreaker.Outcome.succeeded, .failed, .failed, .unknown].randomElement(using: &random) ?? .unknown
                let change = breaker.ended(pass, outcome, now: now)
                if case .open? = change { #expect(outcome == .failed) }
                if change == .closed { #expect(before == .halfOpen(isProbing: true) && outcome == .succeeded) }
            }
        }
        for pass in inFlight { _ = breaker.ended(pass, .unknown, now: now) }
        #expect(pass(&breaker, now: now + 50) != nil)
    }
}

private struct TestFailure: Error {}
