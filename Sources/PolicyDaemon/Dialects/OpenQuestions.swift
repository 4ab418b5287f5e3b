/// What was asked and has no verdict yet, by ticket. The one that is being asked stands apart: most are answered before the judge
/// returns, and then nothing is looked up.
final class OpenQuestions<Question> {
    private var latest: (ticket: UInt64, question: Question)?
    private var earlier: [UInt64: Question] = [:]
    private var nextTicket: UInt64 = 0

    var count: Int { earlier.count + (latest == nil ? 0 : 1) }
    var isEmpty: Bool { latest == nil && earlier.isEmpty }

    /// - Returns: the ticket that the verdict is to come with.
    func open(_ question: Question) -> UInt64 {
        if let latest { changeEarlier { $0[latest.ticket] = latest.question } }
        defer { nextTicket += 1 }
        latest = (nextTicket, question)
        return nextTicket
    }

    subscript(ticket: UInt64) -> Question? {
        if let latest, latest.ticket == ticket { return latest.question }
        return earlier.isEmpty ? nil : earlier[ticket]
    }

    func close(_ ticket: UInt64) {
        if let latest, latest.ticket == ticket { self.latest = nil } else { changeEarlier { $0[ticket] = nil } }
    }

    /// Taken out while it is changed: an access that lasts would have the short ones checked at run time too (SE-0176).
    private func changeEarlier(_ change: (inout [UInt64: Question]) -> Void) {
        var taken = exchange(&earlier, with: [:])
        change(&taken)
        earlier = taken
    }
}
