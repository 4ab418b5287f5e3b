import PolicyProtocol

/// The CHECKs that one connection has sent, from the oldest that the daemon has not answered on.
///
/// One that was given up stays here until its verdict comes: to the daemon it is still in flight, and a verdict for it is no
/// error, while one for an id that waits for none is.
///
/// A class whose slots are taken out while they change: an access that lasts would have every one checked at run time (SE-0176).
final class ChecksInFlight {
    private enum Slot {
        case waiting(PendingCheck, deadline: Int64)
        case givenUp(deadline: Int64)
        case answered
    }

    private var ids = CheckIDs()
    /// In the order of their ids, which have no gap; those before `head` are done with.
    private var slots: [Slot] = []
    private var head = 0
    /// No slot before this one is waiting.
    private var firstWaiting = 0
    /// How many have no verdict yet, those that were given up included.
    private(set) var count = 0
    /// How many of them somebody still waits for.
    private(set) var waitingCount = 0

    /// One CHECK that is never answered must not make the table grow with all that come after it.
    static let maximumSlots = 65_536

    /// Whether there is room for another, however few are in flight.
    var hasRoom: Bool { slots.count - head < Self.maximumSlots }

    /// The id for the next CHECK; nil when all have been used.
    var nextID: UInt32? {
        var ids = ids
        return ids.next()
    }

    /// Adds the CHECK that was sent with ``nextID``.
    ///
    /// - Parameter deadline: monotonic milliseconds, not before that of the CHECK added last.
    func add(_ check: PendingCheck, deadline: Int64) {
        var ids = self.ids
        let id = ids.next()
        self.ids = ids
        guard id != nil else { preconditionFailure("a connection without ids left was asked") }
        var slots = exchange(&self.slots, with: [])
        slots.append(.waiting(check, deadline: deadline))
        self.slots = slots
        count += 1
        waitingCount += 1
    }

    /// Notes a verdict.
    ///
    /// - Returns: the CHECK it answers; nil where that was given up.
    /// - Throws: `frameUnexpected` where no CHECK of this id awaits a verdict. The connection cannot go on.
    func answer(_ id: UInt32) throws(ProtocolError) -> PendingCheck? {
        var slots = exchange(&self.slots, with: [])
        defer { self.slots = slots }
        let index = slots.count - 1 - (Int(ids.greatest) - Int(id))
        guard index >= head, index < slots.count else { throw Self.unexpected(id) }
        let check: PendingCheck?
        switch exchange(&slots[index], with: .answered) {
        case .waiting(let waiting, _):
            check = waiting
            waitingCount -= 1
        case .givenUp: check = nil
        case .answered: throw Self.unexpected(id)
        }
        count -= 1
        dropAnswered(&slots)
        return check
    }

    /// Gives up one CHECK whose deadline has passed; nil where there is none. Call it until then.
    func giveUpNext(now: Int64) -> (check: PendingCheck, id: UInt32)? {
        var slots = exchange(&self.slots, with: [])
        defer { self.slots = slots }
        while firstWaiting < slots.count {
            guard case .waiting(let check, let deadline) = slots[firstWaiting] else {
                firstWaiting += 1
                continue
            }
            guard deadline <= now else { return nil }
            slots[firstWaiting] = .givenUp(deadline: deadline)
            waitingCount -= 1
            return (check, id(at: firstWaiting, of: slots.count))
        }
        return nil
    }

    /// The earliest deadline of those that wait.
    var nextDeadline: Int64? {
        for index in max(firstWaiting, head)..<slots.count {
            if case .waiting(_, let deadline) = slots[index] { return deadline }
        }
        return nil
    }

    /// The deadline of the oldest CHECK that was given up and has no verdict yet.
    var oldestGivenUp: Int64? {
        if head < slots.count, case .givenUp(let deadline) = slots[head] { deadline } else { nil }
    }

    /// Takes out every CHECK that still waits.
    func removeAll() -> [(check: PendingCheck, id: UInt32)] {
        var waiting: [(check: PendingCheck, id: UInt32)] = []
        let slots = exchange(&self.slots, with: [])
        for index in head..<slots.count {
            if case .waiting(let check, _) = slots[index] { waiting.append((check, id(at: index, of: slots.count))) }
        }
        head = 0
        firstWaiting = 0
        count = 0
        waitingCount = 0
        return waiting
    }

    private func id(at index: Int, of slotCount: Int) -> UInt32 { ids.greatest - UInt32(slotCount - 1 - index) }

    private func dropAnswered(_ slots: inout [Slot]) {
        while head < slots.count, case .answered = slots[head] { head += 1 }
        if head == slots.count {
            slots.removeAll(keepingCapacity: true)
            firstWaiting = 0
            head = 0
        } else if head >= 1024 {
            // Seldom enough that moving the rest to the front costs nothing per CHECK.
            slots.removeFirst(head)
            firstWaiting = max(firstWaiting - head, 0)
            head = 0
        }
    }

    private static func unexpected(_ id: UInt32) -> ProtocolError {
        ProtocolError(.frameUnexpected, "a VERDICT with id \(id), and no CHECK of that id awaits one")
    }
}
