import Glibc
import Testing

@testable import HTTP2

/// Blocks by their addresses.
private struct Heap {
    let blocks: SpareBlocks

    init(_ blocks: SpareBlocks = SpareBlocks()) { self.blocks = blocks }

    func take(_ byteCount: Int) throws -> Int { try #require(address(byteCount)) }

    func address(_ byteCount: Int) -> Int? { unsafe blocks.take(byteCount).map { Int(bitPattern: $0) } }

    func give(_ address: Int) { unsafe blocks.give(place(address)) }

    func fill(_ address: Int, _ byteCount: Int, with mark: UInt8) { unsafe memset(place(address), Int32(mark), byteCount) }

    func isFilled(_ address: Int, _ byteCount: Int, with mark: UInt8) -> Bool {
        let bytes = unsafe UnsafeRawBufferPointer(start: place(address), count: byteCount)
        return unsafe bytes.allSatisfy { $0 == mark }
    }

    private func place(_ address: Int) -> UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(bitPattern: address)! }
}

@Suite struct `Spare blocks` {
    @Test func `are as large as was asked for, and nobody else's meanwhile`() throws {
        let heap = Heap()
        var held: [(address: Int, byteCount: Int, mark: UInt8)] = []
        for round in 0..<20_000 {
            if round % 3 == 2 || held.count > 300 {
                let (address, byteCount, mark) = held.remove(at: round * 7919 % held.count)
                #expect(heap.isFilled(address, byteCount, with: mark))
                heap.give(address)
            } else {
                let byteCount = round * 7919 % 1500
                let address = try heap.take(byteCount)
                #expect(address % 16 == 0)
                heap.fill(address, byteCount, with: UInt8(round % 256))
                held.append((address, byteCount, UInt8(round % 256)))
            }
        }
        for (address, _, _) in held { heap.give(address) }
    }

    @Test func `are used again, the last first`() throws {
        let heap = Heap()
        let (one, other) = (try heap.take(100), try heap.take(100))
        heap.give(one)
        heap.give(other)
        #expect(try heap.take(97) == other)
        #expect(try heap.take(104) == one)
        heap.give(one)
        heap.give(other)
    }

    @Test func `are given back where nothing needs them, by halves`() throws {
        let heap = Heap()
        let addresses = try (0..<100).map { _ in try heap.take(200) }
        for address in addresses { heap.give(address) }
        var kept = heap.blocks.keptByteCount
        #expect(kept >= 100 * 200)
        heap.blocks.trim()
        #expect(heap.blocks.keptByteCount == kept, "they were needed since the last time")
        while kept > 0 {
            heap.blocks.trim()
            #expect(heap.blocks.keptByteCount <= kept / 2)
            kept = heap.blocks.keptByteCount
        }
    }

    @Test func `are no more than may be kept`() throws {
        let heap = Heap(SpareBlocks(maximumByteCount: 1000))
        let addresses = try (0..<10).map { _ in try heap.take(200) }
        for address in addresses { heap.give(address) }
        #expect((700...1000).contains(heap.blocks.keptByteCount))
    }

    @Test func `are none where so much can't be had`() { #expect(Heap().address(-1) == nil) }
}
