import Testing

@testable import ReverseProxy

@Suite struct `The ejection of endpoints` {
    private func ejection(_ failures: Int, of count: Int, _ change: (inout EjectionRules) -> Void = { _ in }) -> Ejection {
        var rules = EjectionRules(consecutiveFailures: failures)
        (rules.firstMilliseconds, rules.maximumMilliseconds) = (100, 500)
        change(&rules)
        return Ejection(rules, endpointCount: count)
    }

    @Test func `comes after so many failures in a row`() {
        var ejection = ejection(3, of: 2)
        #expect(ejection.failed(0, now: 0) == nil)
        #expect(ejection.failed(0, now: 1) == nil)
        ejection.succeeded(0)
        #expect(ejection.failed(1, now: 2) == nil)
        #expect(ejection.failed(0, now: 3) == nil)
        #expect(ejection.failed(0, now: 4) == nil)
        #expect(ejection.failed(0, now: 5) == 105)
    }

    @Test func `lasts twice as long each time, up to a limit, and short again for one that was well`() {
        var ejection = ejection(1, of: 2)
        #expect(ejection.failed(0, now: 0) == 100)
        // What was in flight then doesn't count.
        #expect(ejection.failed(0, now: 99) == nil)
        #expect(ejection.failed(0, now: 100) == 300)
        #expect(ejection.failed(0, now: 310) == 710)
        #expect(ejection.failed(0, now: 711) == 1211)
        #expect(ejection.failed(0, now: 1211) == 1711)
        #expect(ejection.failed(0, now: 2212) == 2312)
    }

    @Test func `never takes more endpoints than their part`() {
        var half = ejection(1, of: 3)
        #expect(half.failed(0, now: 0) == 100)
        #expect(half.failed(1, now: 1) == nil)
        // Its turn comes when the other is back.
        #expect(half.failed(1, now: 100) == 200)
        var only = ejection(1, of: 1)
        #expect(only.failed(0, now: 0) == nil)
        var all = ejection(1, of: 2) { $0.maximumPercent = 100 }
        #expect(all.failed(0, now: 0) == 100)
        #expect(all.failed(1, now: 0) == 100)
    }

    @Test(arguments: UInt64(1)...30)
    func `never takes more than their part whatever happens`(seed: UInt64) {
        var random = SplitMix64(state: seed)
        let count = Int.random(in: 1...8, using: &random)
        let percent = Int.random(in: 0...100, using: &random)
        var ejection = ejection(2, of: count) { $0.maximumPercent = percent }
        var until = Array(repeating: Int64.min, count: count)
        var now: Int64 = 0
        for _ in 0..<3000 {
            now += Int64.random(in: 0...20, using: &random)
            let index = Int.random(in: 0..<count, using: &random)
            guard Int.random(in: 0..<4, using: &random) > 0 else {
                ejection.succeeded(index)
                continue
            }
            if let end = ejection.failed(index, now: now) {
                #expect(until[index] <= now)
                #expect((100...500).contains(end - now))
                until[index] = end
            }
            #expect(until.count { $0 > now } * 100 <= percent * count)
        }
    }
}

@Suite struct `The health of an endpoint` {
    private func record() -> HealthRecord {
        var rules = HealthCheckRules(path: "/")
        (rules.healthyAfter, rules.unhealthyAfter) = (2, 3)
        return HealthRecord(rules)
    }

    private func changes(_ checks: [Bool]) -> [Bool] {
        var record = record()
        return checks.map { _ = record.note(passed: $0); return record.isHealthy }
    }

    @Test func `changes after so many checks in a row`() {
        #expect(changes([true, false, false, true, false, false, false, true, false, true, true])
            == [true, true, true, true, true, true, false, false, false, false, true])
    }

    @Test func `is what the first check says`() {
        #expect(changes([false, true, true]) == [false, false, true])
    }
}
