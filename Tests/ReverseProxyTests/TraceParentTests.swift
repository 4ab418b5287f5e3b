import Bytes
import Testing

@testable import ReverseProxy

private let trace = "12345678901234567890123456789012"
private let parent = "1234567890123456"

private func read(_ text: String) -> TraceParent? {
    let bytes = Array(text.utf8)
    return TraceParent(bytes.span)
}

@Suite("traceparent")
struct TraceParentTests {
    // After the cases of w3c/trace-context, test/test_data.json.
    @Test(arguments: [
        ("00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01"), ("00-\(trace)-\(parent)-00", "00-\(trace)-\(parent)-00"),
        // Flags that nobody knows are not passed on.
        ("00-\(trace)-\(parent)-ff", "00-\(trace)-\(parent)-01"), ("00-\(trace)-\(parent)-fe", "00-\(trace)-\(parent)-00"),
        // A later version is read as far as it is known.
        ("cc-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01"), ("cc-\(trace)-\(parent)-01-what-the-future-brings", "00-\(trace)-\(parent)-01"),
    ])
    func `is read and written as version 00`(text: String, written: String) throws {
        let buffer = ByteBuffer(capacity: 64)
        try #require(read(text)).append(to: buffer)
        #expect(buffer.bytes.text == written)
    }

    @Test(arguments: [
        "", "00", "00-", "00-\(trace)", "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-0", "00-\(trace)-\(parent)-011",
        "00-\(trace)-\(parent)-01-", "00-\(trace)-\(parent)-01-what-the-future-brings", "ff-\(trace)-\(parent)-01",
        "cc-\(trace)-\(parent)-01.what", "0-\(trace)-\(parent)-01", "000-\(trace)-\(parent)-01", ".0-\(trace)-\(parent)-01",
        "00-00000000000000000000000000000000-\(parent)-01", "00-\(trace)-0000000000000000-01", "00-.2345678901234567890123456789012-\(parent)-01",
        "00-\(trace)-.234567890123456-01", "00-\(trace)-\(parent)-.0", "00-\(trace)-\(parent)-0.", "00_\(trace)-\(parent)-01",
        "00-\(trace)_\(parent)-01", "00-\(trace)-\(parent)_01", "00-1234567890123456789012345678901A-\(parent)-01",
        "00-\(trace)-123456789012345A-01", "00-\(trace)-\(parent)-0A", "CC-\(trace)-\(parent)-01", "00-\(trace) -\(parent)-01",
    ])
    func `is none`(text: String) { #expect(read(text) == nil) }
}

@Suite("Random numbers for ids")
struct RandomNumbersTests {
    @Test func `don't repeat, from one worker to the next`() {
        var seen: Set<UInt64> = []
        for _ in 0..<10 {
            let numbers = RandomNumbers()
            for _ in 0..<1000 { #expect(seen.insert(numbers.next()).inserted) }
        }
    }
}
