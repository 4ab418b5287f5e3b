import Logging
import Synchronization
import Testing

@testable import ReverseProxy

@Suite struct `The part of an endpoint` {
    private func status(slowStart: Int64, weight: Int = 2) -> EndpointStatus {
        var endpoint = Endpoint(url: "http://a", host: "a", port: 80)
        endpoint.weight = weight
        return EndpointStatus(endpoint, addresses: [], slowStartMilliseconds: slowStart)
    }

    @Test func `is whole from the start, none while it is unwell, and grows when it is back`() {
        let status = status(slowStart: 1000)
        #expect(status.weight(now: 5) == 200)
        status.setHealthy(false, now: 10)
        #expect(status.weight(now: 11) == 0)
        status.setHealthy(true, now: 100)
        #expect([100, 150, 300, 600, 1099, 1100, 9999].map { status.weight(now: $0) } == [20, 20, 40, 100, 198, 200, 200])
    }

    @Test func `is none while it is ejected, and grows afterwards`() {
        let status = status(slowStart: 1000, weight: 1)
        status.eject(until: 100)
        #expect([99, 100, 600, 1100].map { status.weight(now: $0) } == [0, 10, 50, 100])
    }

    @Test func `is whole at once without a slow start`() {
        let status = status(slowStart: 0)
        status.setHealthy(false, now: 0)
        status.setHealthy(true, now: 10)
        #expect(status.weight(now: 10) == 200)
    }
}

@Suite struct `What workers share of an upstream` {
    @Test func `lets no more requests in than its limit, and calls the worker whose turn it is`() {
        var upstream = Upstream(name: "a", endpoints: [])
        var limit = RequestLimit(maximum: 1)
        limit.queueLength = 2
        upstream.limit = limit
        let status = UpstreamStatus(upstream, endpoints: [], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let called = Called()
        let workers = (0..<2).map { number in status.join { called.note(number) } }
        #expect(workers == [0, 1])
        #expect(status.enterLine(from: 0) == .goes)
        #expect(status.enterLine(from: 1) == .waits)
        #expect(status.enterLine(from: 0) == .waits)
        #expect(status.enterLine(from: 1) == .full)
        #expect(status.requestCounts?.active == 1 && status.requestCounts?.waiting == 2)
        #expect(status.leaveLine(0) == false)
        #expect(called.workers == [1])
        // The next is its own.
        #expect(status.leaveLine(0) == true)
        #expect(called.workers == [1])
        #expect(status.leaveLine(0) == false)
        #expect(status.requestCounts?.active == 0)
    }
}

private final class Called: Sendable {
    private let numbers = Mutex<[Int]>([])
    var workers: [Int] { numbers.withLock { $0 } }
    func note(_ worker: Int) { numbers.withLock { $0.append(worker) } }
}
