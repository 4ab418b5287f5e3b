import Testing

@testable import ReverseProxy

@Suite struct `Things kept as spares` {
    private func filled(_ count: Int) -> Spares<Int> {
        let spares = Spares<Int>(maximum: 20, lasting: 4)
        for number in 0..<count {
            let isTaken = spares.give(number)
            #expect(isTaken)
        }
        return spares
    }

    @Test func `give out what came last, and take no more than they may keep`() {
        let spares = filled(20)
        let isTaken = spares.give(20)
        let (last, beforeLast, others, none) = (spares.take(), spares.take(), spares.takeAll(), spares.take())
        #expect(!isTaken && last == 19 && beforeLast == 18 && others == Array(0..<18) && none == nil)
    }

    @Test func `lose half of what nothing needs, time after time, down to those that last`() {
        let spares = filled(20)
        let (first, second) = (spares.takeSurplus(), spares.takeSurplus())
        #expect(first.isEmpty, "that they were given is need enough")
        #expect(second == Array(0..<8))
        var lost: [Int] = []
        for _ in 0..<10 { lost += spares.takeSurplus() }
        let left = spares.takeAll()
        #expect(lost == Array(8..<16) && left == Array(16..<20))
    }

    @Test func `keep what is needed now and then`() throws {
        let spares = filled(20)
        _ = spares.takeSurplus()
        for _ in 0..<5 {
            let taken = (0..<17).map { _ in spares.take() }
            for number in taken.reversed() { _ = spares.give(try #require(number)) }
            let surplus = spares.takeSurplus()
            #expect(surplus.count <= 2)
        }
        let left = spares.takeAll()
        #expect(left.count >= 17)
    }
}
