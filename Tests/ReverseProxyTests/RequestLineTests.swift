import Testing

@testable import ReverseProxy

@Suite struct `The line before an upstream` {
    private func line(_ maximum: Int, _ queue: Int) -> RequestLine {
        var limit = RequestLimit(maximum: maximum)
        limit.queueLength = queue
        return RequestLine(limit)
    }

    @Test func `lets so many through, so many wait, and the rest is refused`() {
        var line = line(2, 2)
        #expect((0..<6).map { line.enter(from: $0) } == [.goes, .goes, .waits, .waits, .full, .full])
        #expect(line.leave() == 2)
        #expect(line.leave() == 3)
        #expect(line.leave() == nil)
        #expect(line.count == 1)
        #expect(line.enter(from: 0) == .goes)
        #expect(line.enter(from: 0) == .waits)
    }

    @Test func `forgets who gives up, unless their turn has come`() {
        var line = line(1, 3)
        #expect([0, 1, 2, 1].map { line.enter(from: $0) } == [.goes, .waits, .waits, .waits])
        #expect(line.giveUp(1) == true)
        #expect(line.leave() == 1)
        #expect(line.giveUp(1) == false)
        // It is passed on.
        #expect(line.leave() == 2)
        #expect(line.leave() == nil)
        #expect(line.count == 0)
    }

    /// Against a model: nobody passes over the limit, and nobody is lost.
    @Test(arguments: UInt64(1)...30)
    func `loses nobody whatever happens`(seed: UInt64) {
        var random = SplitMix64(state: seed)
        let (maximum, queue) = (Int.random(in: 1...4, using: &random), Int.random(in: 0...5, using: &random))
        var line = line(maximum, queue)
        var (inside, waiting) = (0, [Int]())
        for _ in 0..<3000 {
            let worker = Int.random(in: 0..<3, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let expected: RequestLine.Answer = inside < maximum ? .goes : waiting.count < queue ? .waits : .full
                #expect(line.enter(from: worker) == expected)
                if expected == .goes { inside += 1 }
                if expected == .waits { waiting.append(worker) }
            case 2 where inside > 0:
                let next = waiting.first
                #expect(line.leave() == next)
                if next == nil { inside -= 1 } else { waiting.removeFirst() }
            default:
                let place = waiting.lastIndex(of: worker)
                #expect(line.giveUp(worker) == (place != nil))
                if let place { waiting.remove(at: place) }
            }
            #expect(line.count == inside && inside <= maximum)
            #expect(line.waitingCount == waiting.count)
            #expect(inside == maximum || waiting.isEmpty)
        }
    }
}
