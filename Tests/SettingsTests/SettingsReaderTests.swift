import Settings
import Testing

@Suite("Reading settings")
struct SettingsReaderTests {
    private func mistakes(_ text: String, _ environment: [String: String] = [:], reading: (Section) -> Void) -> [String] {
        let settings = SettingsReader(text: text, file: "f.yaml", environment: environment)
        reading(settings.root)
        do {
            try settings.finish()
            return []
        } catch {
            return error.mistakes.map(\.description)
        }
    }

    @Test func `a value that is not given keeps its default`() {
        var port = 3000
        #expect(mistakes("") { $0.read("port", .integer(1...9), into: &port) } == [])
        #expect(port == 3000)
    }

    @Test func `a value that is wrong keeps its default too`() {
        var port = 3000
        let found = mistakes("port: 10") { $0.read("port", .integer(1...9), into: &port) }
        #expect(found == ["f.yaml:1: port is \"10\"; accepted is a whole number from 1 to 9"])
        #expect(port == 3000)
    }

    @Test(arguments: ["+1", "1_000", "0x1", "1e0", "1.0", "٣", "\"1\"", "'1'", "one"])
    func `a number is decimal digits and nothing else`(text: String) {
        var number = 0
        #expect(mistakes("n: \(text)") { $0.read("n", .integer(-9...9), into: &number) }.count == 1)
        #expect(number == 0)
    }

    @Test func `null stands for a default only where the program says so`() {
        var (plain, optional) = (1, Int?.some(1))
        var other = 1
        let found = mistakes("a: null\nb: ~\nc:") { root in
            root.read("a", .integer(0...9), into: &plain)
            root.read("b", .integer(0...9), into: &optional)
            root.read("c", .integer(0...9), mayBeNull: true, into: &other)
        }
        #expect(found == ["f.yaml:1: a is nothing; accepted is a whole number from 0 to 9"])
    }

    @Test func `a quoted null is a text`() {
        var name = String?.none
        #expect(mistakes("name: 'null'") { $0.read("name", .line, into: &name) } == [])
        #expect(name == "null")
    }

    @Test func `all mistakes come at once, in the order of the lines, those of the environment last`() {
        var (first, second, third) = (0, 0, 0)
        let found = mistakes("third: x\nunknown: 1\nfirst: x\nthird: 3\n", ["SECOND": "x"]) { root in
            root.read("first", .integer(0...9), into: &first)
            root.read("second", .integer(0...9), overriddenBy: "SECOND", into: &second)
            root.read("third", .integer(0...9), into: &third)
        }
        #expect(found.map { String($0.prefix { $0 != " " }) } == ["f.yaml:1:", "f.yaml:2:", "f.yaml:3:", "f.yaml:4:", "SECOND:"])
    }

    @Test func `a section may be asked for twice`() {
        var (a, b) = (0, 0)
        let found = mistakes("s: { a: 1, b: 2 }") { root in
            root.section("s").read("a", .integer(0...9), into: &a)
            root.section("s").read("b", .integer(0...9), into: &b)
        }
        #expect(found == [])
        #expect((a, b) == (1, 2))
    }

    @Test func `what is shown of a text stays on its line and has an end`() {
        var number = 0
        let found = mistakes("n: \"a\\nb\\u001b\(String(repeating: "c", count: 1000))\"") { $0.read("n", .integer(0...9), into: &number) }
        #expect(found.count == 1)
        #expect(found[0].utf8.count < 250)
        #expect(found[0].unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }

    @Test func `a secret is never shown`() {
        var secret = String?.none
        let found = mistakes("secret: [hidden]\nurl: redis://user:hidden@host") { root in
            root.read("secret", .secret, into: &secret)
            let url = Form<String>(accepted: "none", concealing: Form<String>.concealCredentials) { _ in nil }
            var text = ""
            root.read("url", url, into: &text)
        }
        #expect(found.count == 2)
        #expect(!found.joined().contains("hidden"))
    }

    @Test(arguments: 1...40)
    func `a key that stands many times is reported each time but the first`(count: Int) {
        let text = String(repeating: "key: 1\n", count: count)
        var number = 0
        let found = mistakes(text) { $0.read("key", .integer(0...9), into: &number) }
        #expect(found == (1..<count).map { "f.yaml:\($0 + 1): the key \"key\" again, as in line 1; accepted is each key once" })
    }

    @Test(arguments: ["1: a\n1: b", "\"\": a\n\"\": b", "- &k a: 1\n  *k : 2", "{[]: 1, []: 2}"])
    func `keys that can't be told apart are mistakes all the same`(text: String) {
        #expect(!mistakes(text) { _ in }.isEmpty)
    }

    @Test func `aliases that multiply are refused before they fill memory`() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        let found = mistakes(text) { _ in }
        #expect(found.first == "f.yaml:1: more than 10000 elements; accepted is a document with fewer")
    }

    @Test func `what was asked for and is not in the file is known by its dotted name`() {
        let text = "c: 1\ns: { d: null }\nroutes: { /a: { upstream: x } }"
        let settings = SettingsReader(text: text, file: "", environment: [:])
        var (a, b) = (0, 0)
        settings.root.read("a", .integer(0...9), into: &a)
        settings.root.read("c", .integer(0...9), into: &a)
        settings.root.section("s").read("b", .integer(0...9), into: &b)
        settings.root.section("s").read("d", .integer(0...9), mayBeNull: true, into: &b)
        _ = settings.root.entries("routes", accepted: "")?.map { $0.section?.require("other", .line) }
        #expect(settings.absentOptions == ["a", "s.b"])
    }

    @Test func `an option below a key of the operator's own is absent where no entry has it`() {
        let text = "limits: { a: { count: 1, plans: { gold: { count: 2 } } }, b: { window: 1 } }"
        let settings = SettingsReader(text: text, file: "", environment: [:])
        var number = 0
        for entry in settings.root.entries("limits", accepted: "") ?? [] {
            guard let section = entry.section else { continue }
            for key in ["count", "window", "burst"] { section.read(key, .integer(0...9), into: &number) }
            section.section("shown").read("as", .integer(0...9), into: &number)
            for plan in section.entries("plans", accepted: "") ?? [] { plan.section?.read("burst", .integer(0...9), into: &number) }
        }
        #expect(settings.absentEntryOptions == ["limits.*.burst", "limits.*.plans.*.burst", "limits.*.shown.as"])
        #expect(settings.absentOptions == [])
    }

    @Test func `a file that is not there is a mistake with its name`() {
        let error = #expect(throws: InvalidConfiguration.self) { try ConfigurationFile.text("/nonexistent/f.yaml") }
        #expect(error?.description == "/nonexistent/f.yaml: cannot be read: No such file or directory")
        #expect(throws: InvalidConfiguration.self) { try ConfigurationFile.text("/") }
        #expect(throws: InvalidConfiguration.self) { try ConfigurationFile.text("/dev/zero") }
        #expect(throws: Never.self) { try ConfigurationFile.text("/dev/null") }
    }
}
