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

@Test func `each byte counts where a name is compared with a literal, however long that is`() {
    expectEachByteCounts("-", { $0.equalsIgnoringCase("-") })
    expectEachByteCounts("host", { $0.equalsIgnoringCase("host") })
    expectEachByteCounts("upgrade", { $0.equalsIgnoringCase("upgrade") })
    expectEachByteCounts("te-[z]{@", { $0.equalsIgnoringCase("te-[z]{@") })
    expectEachByteCounts("keep-alive", { $0.equalsIgnoringCase("keep-alive") })
    expectEachByteCounts("proxy-connection", { $0.equalsIgnoringCase("proxy-connection") })
    expectEachByteCounts("transfer-encoding", { $0.equalsIgnoringCase("transfer-encoding") })
    expectEachByteCounts("X-RateLimit-Remaining_é", { $0.equalsIgnoringCase("X-RateLimit-Remaining_é") })
    expectEachByteCounts("strict-transport-security", { $0.equalsIgnoringCase("strict-transport-security") })
}

private func expectEachByteCounts(_ text: String, _ isEqual: (Span<UInt8>) -> Bool) {
    let bytes = Array(text.utf8)
    for place in bytes.indices {
        for byte in UInt8.min...(.max) {
            var other = bytes
            other[place] = byte
            let areEqual = isEqual(other.span)
            #expect(areEqual == (byte.lowercasedASCII == bytes[place].lowercasedASCII), "\(text) \(place) \(byte)")
        }
    }
    let others = (bytes + [0x2D], Array(bytes.dropLast()))
    let (longer, shorter) = (isEqual(others.0.span), isEqual(others.1.span))
    #expect(!longer && !shorter)
}

@Test(arguments: [("Content-Length", true), ("content-length", true), ("Content-Lengths", false), ("Content-Lengtg", false), ("", false)])
func `a name is told by all of its letters`(name: String, isTheSame: Bool) {
    let areEqual = Array(name.utf8).span.equalsIgnoringCase("content-length")
    #expect(areEqual == isTheSame)
}
