import Bytes
import Testing

@testable import Counters

private func read(_ text: String, in pieces: Int) -> [RedisReplies.Next] {
    let replies = RedisReplies()
    var found: [RedisReplies.Next] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let piece = Array(rest.prefix(pieces))
        rest = rest.dropFirst(pieces)
        guard replies.feed(piece.span) else { return found + [.malformed] }
        while case let next = replies.next(), next != .needsMoreBytes {
            found.append(next)
            if next == .malformed { return found }
        }
    }
    return found
}

private let stream = ":1\r\n:-12\r\n$-1\r\n$2\r\n57\r\n$1\r\n-\r\n$3\r\n-57\r\n$0\r\n\r\n+OK\r\n-READONLY You can't write\r\n:900000000000\r\n"
private let expected: [RedisReply] = [
    .integer(1), .integer(-12), .null, .integer(57), .text("-"), .integer(-57), .text(""), .text("OK"),
    .error("READONLY You can't write"), .integer(900_000_000_000),
]

@Test func `replies are read, wherever the bytes are split`() {
    for pieces in 1...stream.utf8.count {
        #expect(read(stream, in: pieces) == expected.map { .reply($0) })
    }
}

@Test(arguments: ["*1\r\n:1\r\n", "*-2\r\n", "HTTP/1.1 400 Bad Request\r\n", "\r\n", ":12x\r\n", "$x\r\n", "\u{0}"])
func `what is no reply to a command of ours is malformed`(_ text: String) {
    #expect(read(text, in: 1000) == [.malformed])
    #expect(read(text, in: 1).last == .malformed)
}

@Test func `a reply without an end is not collected for good`() {
    let replies = RedisReplies()
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
    let isStarted = replies.feed(Array("$100000000\r\n".utf8).span)
    #expect(isStarted)
    var fed = 0
    while fed < 100, replies.feed(piece.span), replies.next() == .needsMoreBytes { fed += 1 }
    #expect(fed < 10)
}

@Test func `a long error is cut`() {
    let line = "-ERR " + String(repeating: "x", count: 5000) + "\r\n"
    guard case .reply(.error(let text)) = read(line, in: 100_000).first else { return #expect(Bool(false)) }
    #expect(text.utf8.count == 256)
}
