import PolicyProtocol
import Testing

@testable import PolicyClient

@Suite struct `The table of CHECKs in flight` {
    /// A table with `count` checks, whose deadlines are 10, 20, 30 …
    private func table(_ count: Int) -> (ChecksInFlight, [PendingCheck]) {
        let table = ChecksInFlight()
        let checks = (0..<count).map { _ in PendingCheck() }
        for (index, check) in checks.enumerated() { table.add(check, deadline: Int64(index + 1) * 10) }
        return (table, checks)
    }

    @Test func `gives ids from 1 and finds each check by its own, in any order`() throws {
        let (table, checks) = table(4)
        #expect(table.nextID == 5 && table.count == 4 && table.waitingCount == 4)
        for id: UInt32 in [3, 1, 4, 2] { #expect(try table.answer(id) === checks[Int(id) - 1]) }
        #expect(table.count == 0 && table.waitingCount == 0)
        #expect(table.nextID == 5)
    }

    @Test func `counts those without a verdict`() throws {
        let (table, _) = table(4)
        _ = try table.answer(2)
        _ = table.giveUpNext(now: 10)
        #expect(table.count == 3 && table.waitingCount == 2)
        _ = try table.answer(1)
        #expect(table.count == 2 && table.waitingCount == 2)
    }

    @Test func `does not grow without end behind one that is never answered`() throws {
        let table = ChecksInFlight()
        let check = PendingCheck()
        table.add(check, deadline: 0)
        while table.hasRoom {
            let id = try #require(table.nextID)
            table.add(check, deadline: 0)
            _ = try table.answer(id)
        }
        #expect(table.count == 1 && table.nextID == UInt32(ChecksInFlight.maximumSlots) + 1)
        _ = try table.answer(1)
        #expect(table.count == 0 && table.hasRoom)
    }

    @Test(arguments: [UInt32(0), 2, 5, .max])
    func `refuses an id that awaits no verdict`(_ id: UInt32) throws {
        let (table, _) = table(4)
        _ = try table.answer(2)
        #expect(throws: ProtocolError.self) { _ = try table.answer(id) }
        _ = try table.answer(1)
        #expect(throws: ProtocolError.self) { _ = try table.answer(1) }
        #expect(table.waitingCount == 2)
    }

    @Test func `gives up what is due, and keeps it until its verdict comes`() throws {
        let (table, checks) = table(3)
        #expect(table.giveUpNext(now: 9) == nil)
        let first = table.giveUpNext(now: 20)
        #expect(first?.check === checks[0] && first?.id == 1)
        #expect(table.giveUpNext(now: 20)?.id == 2)
        #expect(table.giveUpNext(now: 20) == nil)
        #expect(table.count == 3 && table.waitingCount == 1)
        #expect(table.nextDeadline == 30 && table.oldestGivenUp == 10)
        #expect(try table.answer(1) == nil)
        #expect(table.oldestGivenUp == 20)
        #expect(throws: ProtocolError.self) { _ = try table.answer(1) }
        #expect(try table.answer(2) == nil)
        #expect(table.count == 1 && table.oldestGivenUp == nil)
    }

    @Test func `knows the next deadline among those that wait`() throws {
        let (table, _) = table(4)
        #expect(table.nextDeadline == 10)
        _ = try table.answer(1)
        _ = try table.answer(2)
        #expect(table.nextDeadline == 30)
        _ = table.giveUpNext(now: 30)
        _ = try table.answer(4)
        #expect(table.nextDeadline == nil)
    }

    @Test func `hands back those that wait when all is lost`() throws {
        let (table, checks) = table(4)
        _ = table.giveUpNext(now: 10)
        _ = try table.answer(3)
        let lost = table.removeAll()
        #expect(lost.map(\.id) == [2, 4])
        #expect(lost[0].check === checks[1] && lost[1].check === checks[3])
        #expect(table.count == 0 && table.waitingCount == 0)
    }

    @Test func `stays right over many thousands`() throws {
        let table = ChecksInFlight()
        let check = PendingCheck()
        var open: [UInt32] = []
        var random = SystemRandomNumberGenerator()
        for turn in 0..<20_000 {
            let id = try #require(table.nextID)
            table.add(check, deadline: Int64(turn))
            open.append(id)
            if turn % 7 == 0 { _ = table.giveUpNext(now: Int64(turn) - 500) }
            if open.count > 1_500 { _ = try table.answer(open.remove(at: Int.random(in: 0..<200, using: &random))) }
        }
        #expect(table.count == open.count)
        for id in open.shuffled() { _ = try table.answer(id) }
        #expect(table.count == 0 && table.waitingCount == 0 && table.nextID == 20_001)
    }
}
