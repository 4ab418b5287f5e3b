import Synchronization
import Testing

@testable import TLS

private final class HandClock: Sendable {
    private let milliseconds = Mutex<Int64>(0)

    var now: Int64 { milliseconds.withLock { $0 } }
    func pass(_ passing: Int64) { milliseconds.withLock { $0 += passing } }
}

@Suite struct `Ticket keys` {
    private let clock = HandClock()
    private let keys: TicketKeys

    init() {
        let clock = self.clock
        keys = TicketKeys(nowMilliseconds: { clock.now })
    }

    @Test func `seal for an hour, and open for another`() throws {
        let first = try #require(keys.sealing())
        clock.pass(TicketKeys.lifetimeMilliseconds - 1)
        #expect(keys.sealing() == first)
        #expect(keys.opening(first.name)?.isCurrent == true)
        clock.pass(1)
        #expect(keys.opening(first.name)?.isCurrent == false)
        let second = try #require(keys.sealing())
        #expect(second.name != first.name && second.cipherKey != first.cipherKey && second.authenticationKey != first.authenticationKey)
        #expect(keys.opening(first.name)?.key == first)
        clock.pass(TicketKeys.lifetimeMilliseconds)
        #expect(keys.opening(first.name) == nil)
        #expect(keys.opening(second.name)?.isCurrent == false)
    }

    @Test func `open nothing that they did not seal`() throws {
        _ = try #require(keys.sealing())
        #expect(keys.opening([UInt8](repeating: 7, count: 16)) == nil)
        let others = TicketKeys(nowMilliseconds: { 0 })
        #expect(keys.opening(try #require(others.sealing()).name) == nil)
    }
}
