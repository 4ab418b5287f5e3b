import Bytes
import HTTPMessage
import Testing

@testable import ReverseProxy

@Suite struct `Lines that go on` {
    private let text = Array("one\ntwo\nthree\n".utf8)
    private let lines = [ByteRange(0..<4), ByteRange(4..<8), ByteRange(8..<14)]

    private func copied(_ isKept: [Bool]) -> String {
        var kept = KeptLines()
        let output = ByteBuffer(capacity: 64)
        for (line, isKept) in zip(lines, isKept) {
            if isKept { kept.keep(line) } else { kept.flush(text.span, to: output) }
        }
        kept.flush(text.span, to: output)
        return output.bytes.text
    }

    @Test func `are copied, and those between left out`() {
        #expect(copied([true, true, true]) == "one\ntwo\nthree\n")
        #expect(copied([true, false, true]) == "one\nthree\n")
        #expect(copied([false, true, false]) == "two\n")
        #expect(copied([false, false, false]) == "")
    }

    @Test func `begin where the first of them does`() {
        var kept = KeptLines()
        #expect(lines.map { kept.keep($0) } == [0, 0, 0])
        kept.flush(text.span, to: ByteBuffer(capacity: 64))
        #expect(kept.keep(lines[1]) == 4)
    }

    @Test func `go nowhere with one that was left out unnoticed`() async {
        await #expect(processExitsWith: .failure) {
            var kept = KeptLines()
            kept.keep(ByteRange(0..<4))
            kept.keep(ByteRange(8..<14))
        }
    }
}
