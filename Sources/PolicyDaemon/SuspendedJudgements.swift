import Counters
import Policy

/// The judgements that wait for answers, each under tickets: one for each question.
///
/// A ticket is a place, that place's generation, and the question, so that an answer that comes twice finds nothing.
final class SuspendedJudgements {
    /// Where a judgement waits: it is large, so it is answered where it is, and moved out once.
    private final class Berth {
        var judgement: Judgement?

        init(_ judgement: consuming Judgement) { self.judgement = .some(judgement) }
    }

    private struct Place {
        var berth: Berth?
        var generation: UInt32 = 0
    }

    /// More than the 64 questions that a ``Judgement`` can tell apart.
    private static let questionBits: UInt64 = 8
    private static let placeBits: UInt64 = 24
    /// With more, one's ticket would be that of another's next generation.
    static let maximumCapacity = 1 << placeBits

    private let capacity: Int
    // Taken out while they are changed: an access that lasts would have every one checked at run time (SE-0176).
    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private(set) var count = 0

    /// The ticket of the first question of the judgement that goes to ``suspend(_:)`` next; the others' follow it.
    private(set) var nextTicket: UInt64 = 0

    /// - Parameter capacity: up to ``maximumCapacity``, which a larger one is taken for.
    init(capacity: Int = maximumCapacity) { self.capacity = min(capacity, Self.maximumCapacity) }

    /// Whether one more can be suspended.
    var hasRoom: Bool { count < capacity }

    /// Call it only while ``hasRoom``.
    func suspend(_ judgement: consuming Judgement) {
        let berth = Berth(judgement)
        var (places, freePlaces) = takePlaces()
        if let place = freePlaces.popLast() {
            places[place].berth = berth
        } else {
            places.append(Place(berth: berth))
        }
        count += 1
        put(places, freePlaces)
    }

    private func takePlaces() -> ([Place], [Int]) { (exchange(&places, with: []), exchange(&freePlaces, with: [])) }

    /// Puts them back, and notes the next ticket.
    private func put(_ places: consuming [Place], _ freePlaces: consuming [Int]) {
        let next = freePlaces.last ?? places.count
        let generation = next < places.count ? places[next].generation : 0
        nextTicket = UInt64(generation) << (Self.questionBits + Self.placeBits) | UInt64(next) << Self.questionBits
        (self.places, self.freePlaces) = (places, freePlaces)
    }

    /// The hit that a ticket asks about, unless that has been answered.
    func hit(of ticket: UInt64) -> (hit: Hit, isAlone: Bool)? {
        guard let berth = berth(of: ticket) else { return nil }
        return berth.judgement?.awaitedHit(Self.question(of: ticket))
    }

    /// Notes what became of the hit that a ticket asks about; nothing where it has been answered.
    func note(_ outcome: HitOutcome, for ticket: UInt64) {
        berth(of: ticket)?.judgement?.note(outcome, at: Self.question(of: ticket))
    }

    /// Notes what stands under the revocation key that a ticket asks about.
    ///
    /// - Returns: false where no such question is open.
    func note(_ result: RevocationResult, for ticket: UInt64) -> Bool {
        let question = Self.question(of: ticket)
        return berth(of: ticket)?.judgement?.note(result, question: question) ?? false
    }

    /// Takes out the judgement of a ticket once nothing is awaited for it any more.
    func takeAnswered(_ ticket: UInt64) -> Judgement? {
        guard let place = place(of: ticket), let berth = places[place].berth, berth.judgement?.awaited == 0 else { return nil }
        let judgement = exchange(&berth.judgement, with: nil)
        var (places, freePlaces) = takePlaces()
        places[place].berth = nil
        places[place].generation &+= 1
        freePlaces.append(place)
        count -= 1
        put(places, freePlaces)
        return judgement
    }

    private static func question(of ticket: UInt64) -> Int { Int(ticket & (1 << questionBits - 1)) }

    private func berth(of ticket: UInt64) -> Berth? { place(of: ticket).flatMap { places[$0].berth } }

    private func place(of ticket: UInt64) -> Int? {
        let place = Int(ticket >> Self.questionBits & (1 << Self.placeBits - 1))
        guard place < places.count, places[place].generation == UInt32(ticket >> (Self.questionBits + Self.placeBits)) else { return nil }
        return place
    }
}
