import Bytes
import JSON
import Testing

private func written(_ bytes: [UInt8]) -> String {
    let buffer = ByteBuffer(capacity: 16)
    buffer.append(jsonString: bytes.span)
    return buffer.bytes.text
}

@Suite struct `Written JSON` {
    @Test(arguments: [
        #"null"#, #"[true,false]"#, #"{"a":1,"b":[{},[]],"c":"x"}"#, #"[12345678901234567890,1.50,-0]"#, #""\"\\\n\r\t\u0001\u007fé😀""#,
    ])
    func `is compact, and reads as what it was`(_ text: String) throws {
        let value = try JSONValue.parse(Array(text.utf8).span)
        #expect(String(decoding: value.serialized, as: UTF8.self) == text)
    }

    @Test func `is JSON whatever bytes a string is made of`() throws {
        for byte in UInt8.min...UInt8.max {
            for bytes in [[byte], [0x61, byte, 0x62], [0xE2, 0x82, byte], [byte, byte]] {
                let value = try JSONValue.parse(Array(written(bytes).utf8).span)
                #expect(value.string != nil)
                #expect(!written(bytes).utf8.contains { $0 < 0x20 || $0 == 0x7F })
            }
        }
    }

    @Test func `keeps what is UTF-8 and replaces what is not, byte by byte`() {
        #expect(written(Array("é€😀".utf8)) == "\"é€😀\"")
        #expect(written([0xC3]) == "\"\u{FFFD}\"")
        #expect(written([0xE2, 0x82, 0x61]) == "\"\u{FFFD}\u{FFFD}a\"")
        #expect(written([0xED, 0xA0, 0x80]) == "\"\u{FFFD}\u{FFFD}\u{FFFD}\"")
        #expect(written([0xF0, 0x9F, 0x98, 0x80, 0xFF]) == "\"😀\u{FFFD}\"")
    }
}
