import JSON
import Testing

private func parse(_ text: String, maximumDepth: Int = 32, maximumBytes: Int = 65_536) throws(JSONError) -> JSONValue {
    try JSONValue.parse(Array(text.utf8).span, maximumDepth: maximumDepth, maximumBytes: maximumBytes)
}

private func isRefused(_ bytes: [UInt8]) -> Bool {
    do throws(JSONError) {
        _ = try JSONValue.parse(bytes.span)
        return false
    } catch {
        #expect(error.offset <= bytes.count, "a refusal points into its text")
        return true
    }
}

private func isRefused(_ text: String) -> Bool { isRefused(Array(text.utf8)) }

@Suite struct `A JSON text` {
    @Test func `is any value, with white space around it`() throws {
        #expect(try parse("null") == .null)
        #expect(try parse(" \t\r\n true \n") == .bool(true))
        #expect(try parse("false") == .bool(false))
        #expect(try parse("\"\"") == .string(""))
        #expect(try parse("[]") == .array([]))
        #expect(try parse("{ }") == .object(JSONObject()))
        #expect(try parse("[1,[2] , {\"a\":null}]") == .array([
            .number(JSONNumber(1)), .array([.number(JSONNumber(2))]), .object(JSONObject([("a", .null)])),
        ]))
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "NaN", "Infinity", "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{}}", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}", "{1:2}", "1 2", "//x\n1", "/**/1", "\u{feff}1", "\u{a0}1", "1\u{0}",
    ])
    func `is refused where it is none`(_ text: String) { #expect(isRefused(text)) }

    @Test func `is refused at every byte where it is cut`() {
        let text = Array(#"{"a":[1.5e3,true,"x\n\u00e9é"],"b":{"c":null}}"#.utf8)
        #expect(!isRefused(text))
        for count in 0..<text.count { #expect(isRefused(Array(text.prefix(count)))) }
    }

    @Test func `nests only so deep`() throws {
        _ = try parse("[[[]]]", maximumDepth: 3)
        #expect(throws: JSONError.self) { try parse("[[[[]]]]", maximumDepth: 3) }
        #expect(throws: JSONError.self) { try parse(#"{"a":{"a":{"a":{}}}}"#, maximumDepth: 3) }
        _ = try parse("[[],[],[],[]]", maximumDepth: 2)
        #expect(isRefused(String(repeating: "[", count: 60_000)))
    }

    @Test func `is only so long`() throws {
        _ = try parse("[1]", maximumBytes: 3)
        #expect(throws: JSONError.self) { try parse("[1] ", maximumBytes: 3) }
    }
}

@Suite struct `A JSON number` {
    @Test(arguments: ["0", "-0", "7", "-12", "1.0", "0.5", "1e5", "1E+5", "1e-5", "123456789012345678901234567890", "1e999"])
    func `keeps its digits`(_ text: String) throws { #expect(try parse(text).number?.text == text) }

    @Test(arguments: ["-", "+1", "01", "-01", "1.", ".5", "1.e5", "1e", "1e+", "0x10", "1_000", "--1", "1,0", "٣"])
    func `is refused in any other spelling`(_ text: String) { #expect(isRefused(text)) }

    @Test func `is an integer only where it is written as one of 64 bits`() throws {
        #expect(try parse("9223372036854775807").number?.integer == .max)
        #expect(try parse("-9223372036854775808").number?.integer == .min)
        for text in ["9223372036854775808", "7.0", "7e0"] { #expect(try parse(text).number?.integer == nil) }
    }

    @Test func `has a finite double or none`() throws {
        #expect(try parse("1.5e3").number?.double == 1500)
        #expect(try parse("1e999").number?.double == nil)
        #expect(try parse("1e-999").number?.double == 0)
    }
}

@Suite struct `A JSON string` {
    @Test func `has the escapes of RFC 8259 and no others`() throws {
        #expect(try parse(#""\"\\\/\b\f\n\r\t""#).string == "\"\\/\u{8}\u{c}\n\r\t")
        #expect(try parse(#""\u0041\u00e9\u00E9\u20ac\u0000""#).string == "Aéé€\u{0}")
        for escape in [#"\a"#, #"\x41"#, #"\'"#, #"\u12"#, #"\u12g4"#, #"\U0041"#, #"\u{41}"#, "\\"] { #expect(isRefused("\"\(escape)\"")) }
    }

    @Test func `joins surrogate pairs and refuses halves of one`() throws {
        #expect(try parse(#""\ud83d\ude00""#).string == "😀")
        #expect(try parse(#""\uD800\uDC00\uDBFF\uDFFF""#).string == "\u{10000}\u{10FFFF}")
        for halves in [#"\ud83d"#, #"\ude00"#, #"\ud83dx"#, #"\ud83d\n"#, #"\ud83d\u0041"#, #"\ud83d\ud83d"#, #"\ude00\ud83d"#] {
            #expect(isRefused("\"\(halves)\""))
        }
    }

    @Test func `holds no raw control character`() {
        for byte in UInt8(0)..<0x20 { #expect(isRefused([0x22, byte, 0x22])) }
        #expect(!isRefused([0x22, 0x7F, 0x22]))
    }

    @Test(arguments: [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xE2, 0x82], [0xFF],
    ] as [[UInt8]])
    func `is UTF-8 throughout`(_ bytes: [UInt8]) { #expect(isRefused([0x22] + bytes + [0x22])) }
}

@Suite struct `A JSON object` {
    @Test func `keeps its members in order`() throws {
        let object = try #require(try parse(#"{"b":1,"a":2,"":3}"#).object)
        #expect(object.members.map(\.name) == ["b", "a", ""])
        #expect(object["a"]?.number?.integer == 2)
        #expect(object[""]?.number?.integer == 3)
        #expect(object["c"] == nil)
    }

    @Test(arguments: [#"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"{"x":{"a":1,"a":2}}"#, #"[{"":1,"":2}]"#])
    func `has no name twice, at any depth, in any spelling`(_ text: String) { #expect(isRefused(text)) }

    @Test func `tells names apart by their bytes`() throws {
        // The Kelvin sign and K, and two spellings of é, are equal as Swift strings.
        let object = try #require(try parse("{\"\u{212A}\":1,\"K\":2,\"e\u{301}\":3,\"\u{e9}\":4}").object)
        #expect(object.members.count == 4)
        #expect(object["K"]?.number?.integer == 2)
        #expect(object["\u{e9}"]?.number?.integer == 4)
    }
}
