import JSONWebToken
import Testing

@testable import gatehouse

@Suite struct `Tokens come one a line` {
    /// What the lines are, whatever pieces the text comes in.
    private func lines(_ text: [UInt8], pieceBytes: Int) -> [[UInt8]] {
        var lines = TokenLines()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: text.count, by: pieceBytes) {
            lines.append(Array(text[start..<min(start + pieceBytes, text.count)])) { found.append($0) }
        }
        lines.finish { found.append($0) }
        return found
    }

    @Test(arguments: [
        ("", []), ("\n", []), ("\r\n\n\r\n", []), ("a", ["a"]), ("a\n", ["a"]), ("a\r\n", ["a"]), ("a\nb", ["a", "b"]), ("a\r\n\nb\n", ["a", "b"]),
        (" a \n", [" a "]), ("a\r\r\n", ["a\r"]), ("a\r", ["a\r"]), ("\ra\n", ["\ra"]), ("a\0b\n", ["a\0b"]), (" \n", [" "]),
    ])
    func `exactly as they are, in any pieces`(_ text: String, _ expected: [String]) {
        for pieceBytes in 1...4 { #expect(lines(Array(text.utf8), pieceBytes: pieceBytes) == expected.map { Array($0.utf8) }) }
    }

    @Test(arguments: ["\n", "\r\n", ""], [1000, 65_536, 200_000])
    func `and one that is too long stays so`(_ ending: String, _ pieceBytes: Int) {
        let longest = [UInt8](repeating: 0x61, count: TokenVerifier.maximumTokenBytes)
        #expect(lines(longest + Array(ending.utf8), pieceBytes: pieceBytes) == [longest])
        for tail in ["a", "\r\r", "aaa", "\ra", String(repeating: "\r", count: 1000)] {
            let found = lines(longest + Array((tail + ending).utf8) + Array("\nb".utf8), pieceBytes: pieceBytes)
            #expect(found.count == 2)
            #expect(found[0].count > TokenVerifier.maximumTokenBytes)
            #expect(found.last == [0x62])
        }
    }
}

@Suite struct `gatehouse verify` {
    @Test(arguments: [
        ("{}", "{}"), ("{\r\n\t\"a\" : 1.10e2}\n", "{   \"a\" : 1.10e2} "), ("\"\u{2028}\u{85}\u{2029}é\"", #""\u2028\u0085\u2029é""#),
        (#"{"a":"\n"}"#, #"{"a":"\n"}"#),
    ])
    func `prints a payload on one line`(_ json: String, _ expected: String) {
        #expect(String(decoding: oneLine(json: Array(json.utf8)), as: UTF8.self) == expected)
    }

    @Test func `says ok with the payload, or refused with the reason`() throws {
        let secret = [UInt8](repeating: 7, count: 32)
        let judge = TokenJudge(KeySet(try VerificationKey(secret: secret)), now: 1_000)
        let good = try TokenSigner.sign(try TokenCommand.parse(["--user", "u"]).claims(nowUnixSeconds: 0), with: try PrivateKey(secret: secret))
        #expect(String(decoding: judge.line(Array(good.utf8)).text, as: UTF8.self) == #"ok {"userId":"u","iat":0,"exp":3600}"#)
        let (text, isOK) = TokenJudge(KeySet(try VerificationKey(secret: secret)), now: 3_600).line(Array(good.utf8))
        #expect(String(decoding: text, as: UTF8.self) == "refused expired")
        #expect(!isOK)
        #expect(String(decoding: judge.line(Array((good + " ").utf8)).text, as: UTF8.self) == "refused malformed")
    }

    @Test func `takes algorithms and a time as they are written`() {
        #expect(AlgorithmList(argument: "HS256,EdDSA")?.algorithms == [.hs256, .eddsa])
        for text in ["", "HS256,", "hs256", "none", "HS256, RS256"] { #expect(AlgorithmList(argument: text) == nil) }
        #expect(UnixTime(argument: "1732017570.5")?.seconds == 1_732_017_570.5)
        #expect(UnixTime(argument: "-1")?.seconds == -1)
        for text in ["", "now", "inf", "nan", "0x10", "1e9", " 1"] { #expect(UnixTime(argument: text) == nil) }
    }
}
