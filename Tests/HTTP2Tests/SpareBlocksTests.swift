import Glibc
import Testing

@testable import HTTP2

@Suite struct `Spare blocks` {
    @Test func `are as large as was asked for, and nobody else's meanwhile`() throws {
        let blocks = SpareBlocks()
        var held: [(place: UnsafeMutableRawPointer, byteCount: Int, mark: UInt8)] = []
        for round in 0..<20_000 {
            if round % 3 == 2 || held.count > 300 {
                let (place, byteCount, mark) = held.remove(at: round * 7919 % held.count)
                let bytes = UnsafeRawBufferPointer(start: place, count: byteCount)
                #expect(bytes.allSatisfy { $0 == mark })
                blocks.give(place)
            } else {
                let byteCount = round * 7919 % 1500
                let place = try #require(blocks.take(byteCount))
                #expect(UInt(bitPattern: place) % 16 == 0)
                memset(place, Int32(round % 256), byteCount)
                held.append((place, byteCount, UInt8(round % 256)))
            }
        }
        for (place, _, _) in held { blocks.give(place) }
    }

    @Test func `are used again, the last first`() throws {
        let blocks = SpareBlocks()
        let (one, other) = (try #require(blocks.take(100)), try #require(blocks.take(100)))
        blocks.give(one)
        blocks.give(other)
        #expect(blocks.take(97) == other)
        #expect(blocks.take(104) == one)
        blocks.give(one)
        blocks.give(other)
    }

    @Test func `are given back where nothing needs them, by halves`() throws {
        let blocks = SpareBlocks()
        let places = try (0..<100).map { _ in try #require(blocks.take(200)) }
        for place in places { blocks.give(place) }
        var kept = blocks.keptByteCount
        #expect(kept >= 100 * 200)
        blocks.trim()
        #expect(blocks.keptByteCount == kept, "they were needed since the last time")
        while kept > 0 {
            blocks.trim()
            #expect(blocks.keptByteCount <= kept / 2)
            kept = blocks.keptByteCount
        }
    }

    @Test func `are no more than may be kept`() throws {
        let blocks = SpareBlocks(maximumByteCount: 1000)
        let places = try (0..<10).map { _ in try #require(blocks.take(200)) }
        for place in places { blocks.give(place) }
        #expect((700...1000).contains(blocks.keptByteCount))
    }

    @Test func `are none where so much can't be had`() { #expect(SpareBlocks().take(-1) == nil) }
}
