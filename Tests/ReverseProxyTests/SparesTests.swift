import Testing

@testable import ReverseProxy

@Suite struct `Spares` {
    private func filled(_ count: Int) -> Spares<Int> {
        var spares = Spares<Int>(maximum: 20, lasting: 4)
        for number in 0..<count { #expect(spares.give(number)) }
        return spares
    }

    @Test func `give out what came last, and take no more than they may keep`() {
        var spares = filled(20)
        #expect(!spares.give(20))
        #expect(spares.take() == 19 && spares.take() == 18)
        #expect(spares.takeAll() == Array(0..<18) && spares.take() == nil)
    }

    @Test func `lose half of what nothing needs, time after time, down to those that last`() {
        var spares = filled(20)
        #expect(spares.takeSurplus().isEmpty, "that they were given is need enough")
        #expect(spares.takeSurplus() == Array(0..<8))
        var lost: [Int] = []
        for _ in 0..<10 { lost += spares.takeSurplus() }
        #expect(lost == Array(8..<16) && spares.takeAll() == Array(16..<20))
    }

    @Test func `keep what is needed now and then`() {
        var spares = filled(20)
        _ = spares.takeSurplus()
        for _ in 0..<5 {
            let taken = (0..<17).map { _ in spares.take() }
            for number in taken.reversed() { #expect(spares.give(number!)) }
            #expect(spares.takeSurplus().count <= 2)
        }
        #expect(spares.takeAll().count >= 17)
    }
}
