/// The CHECKs of one client whose counts are under way, each under a ticket.
///
/// A ticket is a place and that place's generation, so that an answer that comes twice finds nothing.
struct SuspendedChecks {
    struct Check {
        let id: UInt32
        var judgement: Judgement
    }

    private struct Place {
        var check: Check?
        var generation: UInt32 = 0
    }

    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private(set) var count = 0

    /// The ticket that the next ``suspend(_:)`` goes under.
    var nextTicket: UInt64 {
        guard let place = freePlaces.last else { return UInt64(places.count) }
        return UInt64(places[place].generation) << 32 | UInt64(place)
    }

    mutating func suspend(_ check: Check) {
        if let place = freePlaces.popLast() {
            places[place].check = check
        } else {
            places.append(Place(check: check))
        }
        count += 1
    }

    /// Takes out what was suspended under `ticket`; nil where it has been taken out before.
    mutating func resume(_ ticket: UInt64) -> Check? {
        let place = Int(ticket & 0xFFFF_FFFF)
        guard place < places.count, places[place].generation == UInt32(ticket >> 32), let check = places[place].check else {
            return nil
        }
        places[place].check = nil
        places[place].generation &+= 1
        freePlaces.append(place)
        count -= 1
        return check
    }
}
