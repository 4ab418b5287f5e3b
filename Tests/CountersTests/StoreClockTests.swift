import Testing

@testable import Counters

@Test func `a clock's offset is what remains beside half of the travelling time`() {
    var clock = StoreClock()
    clock.note(1_005_010, askedAt: 1_000_000, answeredAt: 1_000_020)
    #expect(clock.offsetMilliseconds == 5000)
    clock.note(990_000, askedAt: 1_000_000, answeredAt: 1_000_000)
    #expect(clock.offsetMilliseconds == -10_000)
}

@Test func `an offset within the error of measuring stays as it is`() {
    var clock = StoreClock()
    clock.note(1_000_002, askedAt: 1_000_000, answeredAt: 1_000_000)
    #expect(clock.offsetMilliseconds == 0)
    clock.note(1_000_050, askedAt: 1_000_000, answeredAt: 1_000_100)
    #expect(clock.offsetMilliseconds == 0)
    clock.note(1_000_003, askedAt: 1_000_000, answeredAt: 1_000_000)
    #expect(clock.offsetMilliseconds == 3)
    // This machine's clock was set back while the question travelled.
    clock.note(1_000_000, askedAt: 1_000_000, answeredAt: 900_000)
    #expect(clock.offsetMilliseconds == 0)
}
