import Bytes
import Testing

@Suite struct `A byte buffer` {
    @Test(arguments: [0, 9, 10, 99, 100, 12_345, 999_999_999, 1_000_000_000, Int.max, -1, -10, Int.min])
    func `writes numbers as digits, and knows how many beforehand`(_ number: Int) {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append("=")
        buffer.append(decimal: number)
        #expect(buffer.bytes.text == "=\(number)")
        #expect(number.decimalCharacterCount == "\(number)".utf8.count)
    }

    @Test func `knows the length of the numbers around each power of ten and of two`() {
        let powers = (0...18).map { (0..<$0).reduce(1) { power, _ in power * 10 } } + (0..<63).map { 1 << $0 }
        for number in powers.flatMap({ [$0 - 1, $0, $0 + 1, -$0] }) {
            let buffer = ByteBuffer(capacity: 16)
            buffer.append(decimal: number)
            #expect(buffer.bytes.text == "\(number)")
            #expect(number.decimalCharacterCount == "\(number)".utf8.count)
        }
    }

    @Test func `puts a text in the place of another`() {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append("-etag: 1")
        buffer.consume(1)
        buffer.overwrite("date", at: 0)
        buffer.overwrite("2", at: 6)
        #expect(buffer.bytes.text == "date: 2")
    }

    @Test func `writes numbers in network byte order, wherever they stand`() {
        let buffer = ByteBuffer(capacity: 16)
        buffer.append(1)
        buffer.append(bigEndian: 0x0203 as UInt16)
        buffer.append(bigEndian: 0x0405_0607 as UInt32)
        #expect(buffer.bytes.array == [1, 2, 3, 4, 5, 6, 7])
    }
}

@Suite struct `A search for a byte` {
    @Test(arguments: [0, 1, 7, 8, 9, 17, 40])
    func `finds the first from where it begins, and nothing else`(_ length: Int) {
        // Neighbours of the byte, and such as differ in the high bit only, are what a search by words could mistake.
        let others: [UInt8] = [0x2D, 0x2F, 0xAE, 0x00, 0xFF, 0x80, 0x01]
        for places in [[], [0], [length - 1], [length / 2, length - 1], [1, 2, 3]] {
            var bytes = (0..<length).map { others[$0 % others.count] }
            for place in places where bytes.indices.contains(place) { bytes[place] = 0x2E }
            for start in 0...length {
                #expect(bytes.span.firstIndex(of: 0x2E, from: start) == bytes[start...].firstIndex(of: 0x2E))
            }
        }
    }
}
