import Bytes
import Testing

@Test func `letters are equal in any case, and no other bytes are that differ`() {
    // As long as is compared byte by byte, in one go, and in several of which the last overlaps.
    for count in [1, 7, 8, 9, 16, 19] {
        for place in 0..<count {
            for one in UInt8.min...(.max) {
                for bit in 0..<8 {
                    var (left, right) = ([UInt8](repeating: 0x41, count: count), [UInt8](repeating: 0x61, count: count))
                    (left[place], right[place]) = (one, one ^ 1 << UInt8(bit))
                    let isLetter = one.lowercasedASCII == right[place].lowercasedASCII
                    let areEqual = left.span.equalsIgnoringCase(right.span)
                    #expect(areEqual == isLetter)
                }
            }
        }
    }
}

@Test(arguments: [("Content-Length", true), ("content-length", true), ("Content-Lengths", false), ("Content-Lengtg", false), ("", false)])
func `a name is told by all of its letters`(name: String, isTheSame: Bool) {
    let areEqual = Array(name.utf8).span.equalsIgnoringCase("content-length")
    #expect(areEqual == isTheSame)
}
