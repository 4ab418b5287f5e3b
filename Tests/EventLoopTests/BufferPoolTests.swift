import Bytes
import Testing

@testable import EventLoop

@Suite struct `A buffer pool` {
    private let pool = BufferPool()

    @Test func `lends storage and takes it back`() {
        let (one, other) = (ByteBuffer(capacity: 16), ByteBuffer(capacity: 16))
        pool.furnish(one)
        #expect(one.capacity == BufferPool.bufferBytes)
        pool.furnishForBulk(one)
        #expect(one.capacity == BufferPool.bulkBytes)
        pool.strip(one)
        #expect(one.capacity == 16)
        pool.furnishForBulk(other)
        #expect(other.capacity == BufferPool.bulkBytes)
    }

    @Test func `leaves a buffer alone that holds something`() {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append("bytes")
        pool.furnish(buffer)
        pool.furnishForBulk(buffer)
        #expect(buffer.capacity == 16 && buffer.bytes.text == "bytes")
        let bulk = ByteBuffer(capacity: 16)
        pool.furnishForBulk(bulk)
        bulk.append("bytes")
        pool.strip(bulk)
        #expect(bulk.capacity == BufferPool.bulkBytes && bulk.bytes.text == "bytes")
    }

    @Test func `shrinks a buffer for bulk with what it holds`() {
        let buffer = ByteBuffer(capacity: 16)
        pool.furnishForBulk(buffer)
        buffer.append("bytes")
        pool.shrink(buffer)
        #expect(buffer.capacity == BufferPool.bufferBytes && buffer.bytes.text == "bytes")
    }

    @Test func `takes no buffer that has grown for one of its own`() {
        for _ in 0..<100 {
            let grown = ByteBuffer(capacity: 16)
            grown.append([UInt8](repeating: 0, count: 128 * 1024))
            #expect(grown.capacity == 128 * 1024)
            pool.give(grown)
            grown.clear()
            pool.strip(grown)
            pool.furnishForBulk(grown)
            #expect(grown.capacity == 128 * 1024)
            let bulk = ByteBuffer(capacity: 16)
            pool.furnishForBulk(bulk)
            bulk.append([UInt8](repeating: 0, count: 100 * 1024))
            pool.shrink(bulk)
            #expect(bulk.count == 100 * 1024 && bulk.capacity == 128 * 1024)
        }
        #expect(lendableForBulk() == 64)
    }

    private func lendableForBulk() -> Int {
        let buffers = (0..<100).map { _ in ByteBuffer(capacity: 16) }
        for buffer in buffers { pool.furnishForBulk(buffer) }
        return buffers.count { $0.capacity == BufferPool.bulkBytes }
    }

    @Test func `has so many buffers for bulk at the most, and makes do with smaller ones then`() {
        let buffers = (0..<100).map { _ in ByteBuffer(capacity: 16) }
        for round in 0..<3 {
            for buffer in buffers { pool.furnishForBulk(buffer) }
            #expect(buffers.count { $0.capacity == BufferPool.bulkBytes } == 64, "round \(round)")
            #expect(buffers.count { $0.capacity == BufferPool.bufferBytes } == 36, "round \(round)")
            for buffer in buffers { round == 1 ? pool.shrink(buffer) : pool.strip(buffer) }
            for buffer in buffers { pool.strip(buffer) }
        }
    }
}
