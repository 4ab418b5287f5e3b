import Bytes
import Testing

@Suite struct `A search through bytes` {
    @Test func `finds the first of its kind, wherever the search begins and the bytes end`() {
        for count in 0..<50 {
            for place in 0..<count {
                var bytes = [UInt8](repeating: 0x0B, count: count)
                for index in place..<count { bytes[index] = 0x0A }
                for start in 0...count {
                    let found = bytes.span.firstIndex(of: 0x0A, from: start)
                    #expect(found == (start < count ? max(place, start) : nil))
                }
            }
        }
    }

    @Test func `finds nothing that is not there`() {
        for count in 0..<50 {
            let bytes = [UInt8](repeating: 1, count: count)
            // Nor what the bytes behind the last are taken for.
            for byte in [UInt8(0), 0xFF] {
                let found = bytes.span.firstIndex(of: byte)
                #expect(found == nil)
            }
        }
    }

    @Test func `within a range passes over what stands around it`() {
        let wanted = SIMD16<UInt8>(repeating: 0x0A)
        for count in 0..<50 {
            for start in 0...count {
                for end in start...count {
                    var bytes = [UInt8](repeating: 0x0A, count: count)
                    for index in start..<end { bytes[index] = 0x0B }
                    let isFoundOutside = bytes.span.contains(in: start..<end) { $0 .== wanted }
                    #expect(!isFoundOutside)
                    guard start < end else { continue }
                    bytes = [UInt8](repeating: 0x0B, count: count)
                    for place in [start, (start + end) / 2, end - 1] {
                        bytes[place] = 0x0A
                        let isFound = bytes.span.contains(in: start..<end) { $0 .== wanted }
                        #expect(isFound)
                        bytes[place] = 0x0B
                    }
                }
            }
        }
    }

    @Test func `fewer than sixteen bytes make a block with zeros behind them`() {
        let bytes = [UInt8](1...16)
        for start in 0...16 {
            for end in start...min(start + 15, 16) {
                let block = bytes.span.extracting(0..<end).shortBlock(from: start)
                for place in 0..<16 { #expect(block[place] == (start + place < end ? bytes[start + place] : 0)) }
            }
        }
    }

    @Test func `tells each byte from all others`() {
        let bytes = [UInt8](0...255)
        for byte in bytes {
            let found = bytes.span.firstIndex(of: byte)
            #expect(found == Int(byte))
        }
        let even = bytes.span.firstIndex(from: 3) { ($0 & SIMD16(repeating: 1)) .== SIMD16(repeating: 0) }
        #expect(even == 4)
    }
}
