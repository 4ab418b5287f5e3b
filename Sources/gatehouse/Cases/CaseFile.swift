import PolicyDaemon
import PolicyProtocol
import Settings

/// A case, and what it came to.
struct JudgedCase {
    let name: String
    /// Where it stands: `cases.yaml:3`.
    let place: String
    let differences: [Difference]
    /// How it was judged.
    let steps: [String]
}

/// A table of requests and the verdicts that they are to have.
enum CaseFile {
    /// Reads the cases, and judges each.
    ///
    /// - Parameters:
    ///   - file: what messages call it.
    ///   - now: the moment of the cases that name none.
    /// - Throws: all mistakes.
    static func judge(
        _ text: String, file: String, by rehearsal: Rehearsal, nowUnixMilliseconds now: Int64
    ) throws(InvalidConfiguration) -> [JudgedCase] {
        let settings = SettingsReader(text: text, file: file, environment: [:])
        let root = settings.root
        var usual = Circumstances(nowUnixMilliseconds: now)
        usual.read(root.section("defaults"))
        let accepted = "a map of names to cases"
        let entries = root.entries("cases", accepted: accepted)
        if entries?.isEmpty ?? !root.has("cases") { root.report("cases", "are missing", accepted: accepted) }
        let cases = (entries ?? []).compactMap { judge($0, usual, by: rehearsal) }
        try settings.finish()
        return cases
    }

    /// Nil where the case is wrong, which is then reported.
    private static func judge(_ entry: Entry, _ usual: Circumstances, by rehearsal: Rehearsal) -> JudgedCase? {
        guard let section = entry.options(accepted: "a map of a request, whose it is, and what is expected") else { return nil }
        var circumstances = usual
        circumstances.read(section)
        guard let expectation = Expectation.read(section) else { return nil }
        do {
            let outcome = try rehearsal.judge(circumstances.whole)
            let answer = VerdictReport(try VerdictMessage.parse(outcome.verdict.span), outcome.verdict.span)
            return JudgedCase(
                name: entry.key, place: entry.place, differences: expectation.differences(from: answer, rule: outcome.rule),
                steps: outcome.steps)
        } catch {
            section.report("can't be judged: \(error)", accepted: nil)
            return nil
        }
    }
}

extension JudgedCase {
    var hasPassed: Bool { differences.isEmpty }

    /// What is told of it: what was expected behind a minus and what was found behind a plus, and how it came to that.
    var report: String {
        guard !hasPassed else { return "ok   " + printable(name) }
        var lines = ["FAIL \(printable(name)) (\(place))"]
        for difference in differences {
            lines.append("  - \(difference.subject): \(printable(difference.expected))")
            lines.append("  + \(difference.subject): \(printable(difference.found))")
        }
        lines += steps.map { "    " + printable($0) }
        return lines.joined(separator: "\n")
    }
}
