@testable import HTTP2
import Testing

@Suite struct `Open streams` {
    @Test func `are found by their identifiers, whichever have closed and whichever were never opened`() {
        let streams = OpenStreams<String>()
        var expected: [Int32: String] = [:]
        var random = SystemRandomNumberGenerator()
        var next: Int32 = 1
        for _ in 0..<2000 {
            if Bool.random(using: &random) || expected.isEmpty {
                // Some are skipped: each closes all before it that were never opened (RFC 9113 §5.1.1).
                next += 2 * Int32.random(in: 0...1, using: &random)
                streams.append("\(next)", next)
                expected[next] = "\(next)"
                next += 2
            } else if let identifier = expected.keys.randomElement(using: &random) {
                #expect(streams.remove(identifier) == expected.removeValue(forKey: identifier))
            }
            let asked = Int32.random(in: 0...next, using: &random)
            #expect(streams[asked] == expected[asked])
            #expect(streams.count == expected.count)
        }
        for (identifier, stream) in expected { #expect(streams.remove(identifier) == stream) }
        #expect(streams.remove(1) == nil && streams.all.isEmpty)
    }
}
