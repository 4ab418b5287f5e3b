import Testing

@testable import JSON

private func object(_ text: String) -> JSONObject? { (try? JSONValue.parse(Array(text.utf8).span))?.object }

@Suite struct `An object` {
    @Test(arguments: [2, 15, 16, 17, 18, 40, 200])
    func `has no name twice, however many members it has`(_ count: Int) {
        let members = (0..<count).map { "\"m\($0)\":\($0)" }
        #expect(object("{\(members.joined(separator: ","))}")?.members.count == count)
        for repeated in [0, count / 2, count - 1] {
            #expect(object("{\((members + ["\"m\(repeated)\":0"]).joined(separator: ","))}") == nil)
        }
    }

    @Test func `takes names for different that differ in their bytes`() {
        let composed = object("{\"\u{e9}\":1,\"e\u{301}\":2}")
        #expect(composed?["\u{e9}"]?.number?.integer == 1)
        #expect(composed?["e\u{301}"]?.number?.integer == 2)
        #expect(object("{\"\u{212a}\":1}")?["K"] == nil)
    }
}
