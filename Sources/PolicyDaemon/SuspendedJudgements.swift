import Policy

/// The judgements that wait for answers, each under tickets: one for each question.
///
/// A ticket is a place, that place's generation, and the question, so that an answer that comes twice finds nothing.
final class SuspendedJudgements {
    private struct Place {
        var judgement: Judgement?
        var generation: UInt32 = 0
    }

    private static let questionBits: UInt64 = 8
    private static let placeBits: UInt64 = 24

    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private(set) var count = 0

    /// The ticket of the first question of the judgement that goes to ``suspend(_:)`` next; the others' follow it.
    private(set) var nextTicket: UInt64 = 0

    func suspend(_ judgement: Judgement) {
        if let place = freePlaces.popLast() {
            places[place].judgement = judgement
        } else {
            places.append(Place(judgement: judgement))
        }
        count += 1
        noteNextTicket()
    }

    private func noteNextTicket() {
        let place = freePlaces.last ?? places.count
        let generation = place < places.count ? places[place].generation : 0
        nextTicket = UInt64(generation) << (Self.questionBits + Self.placeBits) | UInt64(place) << Self.questionBits
    }

    /// What a ticket asks, unless that has been answered.
    func question(of ticket: UInt64) -> (counting: Counting, index: Int)? {
        let index = Int(ticket & (1 << Self.questionBits - 1))
        guard let place = place(of: ticket), let judgement = places[place].judgement, judgement.awaits(index),
            let counting = judgement.counting
        else { return nil }
        return (counting, index)
    }

    func update(_ ticket: UInt64, _ note: (inout Judgement) -> Void) {
        guard let place = place(of: ticket), places[place].judgement != nil else { return }
        note(&places[place].judgement!)
    }

    /// Takes out the judgement of a ticket once nothing is awaited for it any more.
    func takeAnswered(_ ticket: UInt64) -> Judgement? {
        guard let place = place(of: ticket), let judgement = places[place].judgement, judgement.awaited == 0 else { return nil }
        places[place].judgement = nil
        places[place].generation &+= 1
        freePlaces.append(place)
        count -= 1
        noteNextTicket()
        return judgement
    }

    private func place(of ticket: UInt64) -> Int? {
        let place = Int(ticket >> Self.questionBits & (1 << Self.placeBits - 1))
        guard place < places.count, places[place].generation == UInt32(ticket >> (Self.questionBits + Self.placeBits)) else { return nil }
        return place
    }
}
