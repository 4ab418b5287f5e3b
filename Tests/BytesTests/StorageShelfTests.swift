import Bytes
import Testing

@Suite struct `A shelf of storage` {
    private let shelf = StorageShelf(maximum: 2)

    @Test func `lends what was taken back last, and keeps what the borrower had`() {
        let (first, second, borrower) = (ByteBuffer(capacity: 100), ByteBuffer(capacity: 200), ByteBuffer(capacity: 20))
        #expect(!shelf.lend(to: borrower))
        #expect(shelf.take(from: first) && shelf.take(from: second))
        #expect(first.capacity == 16 && second.capacity == 16)
        #expect(shelf.lend(to: borrower) && borrower.capacity == 200)
        #expect(shelf.lend(to: first) && first.capacity == 100)
        #expect(!shelf.lend(to: second))
        #expect(shelf.take(from: first) && first.capacity == 16)
        #expect(shelf.take(from: borrower) && borrower.capacity == 20)
    }

    @Test func `keeps no more than it may`() {
        let buffers = (0..<3).map { _ in ByteBuffer(capacity: 100) }
        #expect(buffers.map(shelf.take) == [true, true, false])
        #expect(buffers.map(\.capacity) == [16, 16, 100])
    }

    @Test func `lends what holds no bytes`() {
        let (lender, borrower) = (ByteBuffer(capacity: 100), ByteBuffer(capacity: 16))
        lender.append("secret")
        lender.consume(3)
        lender.truncate(to: 0)
        #expect(shelf.take(from: lender) && shelf.lend(to: borrower))
        borrower.append("x")
        #expect(borrower.bytes.text == "x" && lender.isEmpty)
    }
}
