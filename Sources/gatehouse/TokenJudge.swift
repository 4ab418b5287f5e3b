import EventLoop
import Foundation
import JSONWebToken

/// Says of one token after the other whether it holds.
struct TokenJudge {
    private let verifier: TokenVerifier
    /// Nil: the clock's.
    private let now: Double?

    private static let chunkBytes = 65_536

    init(_ keys: KeySet, now: Double?) {
        verifier = TokenVerifier([TrustedIssuer(name: "keys", keys: keys)])
        self.now = now
    }

    /// A line a token: `ok` and the payload, or `refused` and the reason.
    func line(_ token: [UInt8]) -> (text: [UInt8], isOK: Bool) {
        do throws(TokenRefusal) {
            let verified = try verifier.verify(token.span, nowUnixSeconds: now ?? Double(Clock.unixMilliseconds()) / 1000)
            return (Array("ok ".utf8) + oneLine(json: verified.payload), true)
        } catch {
            return (Array("refused \(error.text)".utf8), false)
        }
    }

    /// Answers what has come before it waits for more.
    ///
    /// - Parameter input: a descriptor. FileHandle's `availableData` would trap where it can't be read, and take a whole file at once.
    /// - Returns: whether every token was ok.
    func judgeAll(from input: Int32, to output: FileHandle) throws -> Bool {
        var lines = TokenLines()
        var isEachOK = true
        var answers: [UInt8] = []
        func judge(_ token: [UInt8]) throws {
            let (text, isOK) = line(token)
            isEachOK = isEachOK && isOK
            answers += text + [UInt8(ascii: "\n")]
            if answers.count >= Self.chunkBytes { try flush() }
        }
        func flush() throws {
            do {
                try output.write(contentsOf: answers)
            } catch {
                throw Failure("the answers cannot be written: \(error.localizedDescription)")
            }
            answers.removeAll(keepingCapacity: true)
        }
        var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
        while true {
            let count = unsafe read(input, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure("the tokens cannot be read: \(SystemError.text(of: errno))") }
            guard count > 0 else { break }
            try lines.append(Array(chunk.prefix(count)), judge)
            try flush()
        }
        try lines.finish(judge)
        try flush()
        return isEachOK
    }
}

/// A JSON text without line breaks, every number and string in it the same as before.
func oneLine(json: [UInt8]) -> [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(json.count)
    var index = 0
    while index < json.count {
        let byte = json[index]
        if byte < 0x20 {
            // JSON has control characters between its tokens only.
            line.append(UInt8(ascii: " "))
        } else if let (escape, count) = escapedLineBreak(json[index...].prefix(3)) {
            line += Array(escape.utf8)
            index += count
            continue
        } else {
            line.append(byte)
        }
        index += 1
    }
    return line
}

/// What some readers take for the end of a line, and JSON allows within a string: U+0085, U+2028 and U+2029.
private func escapedLineBreak(_ bytes: ArraySlice<UInt8>) -> (escape: String, count: Int)? {
    if bytes.starts(with: "\u{85}".utf8) { return (#"\u0085"#, 2) }
    if bytes.starts(with: "\u{2028}".utf8) { return (#"\u2028"#, 3) }
    if bytes.starts(with: "\u{2029}".utf8) { return (#"\u2029"#, 3) }
    return nil
}
