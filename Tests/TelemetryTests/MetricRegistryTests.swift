import Bytes
import Synchronization
import Testing

@testable import Telemetry

func shown(_ registry: MetricRegistry) -> String {
    let buffer = ByteBuffer(capacity: 1024)
    registry.write(to: buffer)
    return buffer.bytes.text
}

/// The samples' lines, without the help and types.
func samples(_ registry: MetricRegistry) -> [String] {
    shown(registry).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { String($0) }
}

@Suite struct `A registry` {
    private let registry = MetricRegistry(capacity: 256)
    private let limits = ["per-user", "per-address"]

    @Test func `shows each family with its help, its type and every series`() throws {
        let decisions = try registry.declare { (families) throws(UnfitMetrics) in
            try families.counter("decisions_total", "Decisions by reason.", LabelSet("reason", ["allowed", "token-expired"]))
        }
        registry.makeWorkerMetrics().count(decisions, 1)
        #expect(shown(registry) == """
            # HELP decisions_total Decisions by reason.
            # TYPE decisions_total counter
            decisions_total{reason="allowed"} 0
            decisions_total{reason="token-expired"} 1

            """)
    }

    @Test func `sums up what the workers count`() throws {
        let (decisions, open) = try registry.declare { (families) throws(UnfitMetrics) in
            (try families.counter("decisions_total", ""), try families.gauge("connections", ""))
        }
        let workers = (0..<3).map { _ in registry.makeWorkerMetrics() }
        for (index, worker) in workers.enumerated() {
            worker.count(decisions, amount: index + 1)
            worker.add(10, to: open)
            worker.add(-index, to: open)
        }
        workers[0].set(open, to: 7)
        #expect(samples(registry) == ["decisions_total 6", "connections 24"])
    }

    @Test func `finds a series of two labels by the product of their places`() throws {
        let labels = LabelSet("limit", limits).crossed(with: "outcome", ["admitted", "denied", "shadow"])
        let hits = try registry.declare { (families) throws(UnfitMetrics) in try families.counter("hits_total", "", labels) }
        registry.makeWorkerMetrics().count(hits, 1 * 3 + 2)
        #expect(samples(registry).last == #"hits_total{limit="per-address",outcome="shadow"} 1"#)
        #expect(samples(registry).count == 6)
    }

    @Test func `escapes label values and help`() throws {
        try registry.declare { (families) throws(UnfitMetrics) in
            try families.gauge("age_seconds", "a \\ b\n\"c\"", LabelSet("issuer", ["a\\b\"c\u{301}\n\"\u{301}"])) { _ in 1.5 }
        }
        #expect(shown(registry) == "# HELP age_seconds a \\\\ b\\n\"c\"\n# TYPE age_seconds gauge\n"
            + "age_seconds{issuer=\"a\\\\b\\\"c\u{301}\\n\\\"\u{301}\"} 1.5\n")
    }

    @Test func `asks for a reading when it is shown, and leaves out what isn't there`() throws {
        try registry.declare { (families) throws(UnfitMetrics) in
            let values = [0, 1e300, -0.25, .infinity, -.infinity, .nan, nil, 3e9]
            try families.gauge("g", "", LabelSet("i", (0..<8).map { "\($0)" })) { values[$0] }
            try families.counter("c_total", "") { _ in 12 }
        }
        #expect(samples(registry) == [
            #"g{i="0"} 0"#, #"g{i="1"} 1e+300"#, #"g{i="2"} -0.25"#, #"g{i="3"} +Inf"#, #"g{i="4"} -Inf"#, #"g{i="5"} NaN"#,
            #"g{i="7"} 3000000000"#, "c_total 12",
        ])
    }

    @Test func `is shown while others count`() async throws {
        let latencies = try registry.declare { (families) throws(UnfitMetrics) in try families.latencies("t_seconds", "") }
        await withTaskGroup { tasks in
            for _ in 0..<2 {
                let worker = registry.makeWorkerMetrics()
                tasks.addTask { for nanoseconds in 0..<50_000 { worker.observe(nanoseconds: Int64(nanoseconds), in: latencies) } }
            }
            tasks.addTask {
                for _ in 0..<20 {
                    let lines = samples(registry)
                    #expect(lines[21].split(separator: " ")[1] == lines[23].split(separator: " ")[1])
                }
            }
        }
        #expect(samples(registry)[23] == "t_seconds_count 100000")
    }

    // MARK: Another configuration

    private func declareHits(_ limits: [String]) throws -> CounterFamily {
        try registry.declare { (families) throws(UnfitMetrics) in
            try families.counter("hits_total", "", LabelSet("limit", limits))
        }
    }

    @Test func `goes on counting what a new configuration has too`() throws {
        let worker = registry.makeWorkerMetrics()
        let first = try declareHits(["a", "b"])
        worker.count(first, 0, amount: 5)
        worker.count(first, 1, amount: 7)
        let second = try declareHits(["new", "b"])
        worker.count(second, 1)
        // A request that began before.
        worker.count(first, 1)
        worker.count(first, 0)
        #expect(samples(registry) == [#"hits_total{limit="new"} 0"#, #"hits_total{limit="b"} 9"#])
    }

    @Test func `gives the cells of a family that is gone to another only with the second configuration after it`() throws {
        let small = MetricRegistry(capacity: 2)
        let worker = small.makeWorkerMetrics()
        func declare(_ name: String) throws -> CounterFamily {
            try small.declare { (families) throws(UnfitMetrics) in try families.counter(name, "") }
        }
        let first = try declare("a_total")
        worker.count(first, amount: 5)
        _ = try declare("b_total")
        worker.count(first)
        let third = try declare("c_total")
        #expect(samples(small) == ["c_total 0"])
        worker.count(third)
        #expect(samples(small) == ["c_total 1"])
        for name in ["d_total", "e_total", "f_total"] { _ = try declare(name) }
        #expect(samples(small) == ["f_total 0"])
    }

    /// Against a model that counts by name, with requests of the configuration before still counting.
    @Test func `loses nothing in many configurations`() throws {
        let small = MetricRegistry(capacity: 64)
        let workers = (0..<2).map { _ in small.makeWorkerMetrics() }
        var expected: [String: Int] = [:]
        var before: (names: [String], hits: CounterFamily)?
        for _ in 0..<500 {
            let names = (0..<12).shuffled().prefix(Int.random(in: 1...12)).sorted().map { "limit-\($0)" }
            let hits = try small.declare { (families) throws(UnfitMetrics) in
                let hits = try families.counter("hits_total", "", LabelSet("limit", names))
                _ = try families.counter("other_total", "", LabelSet("x", (0..<Int.random(in: 1...4)).map { "\($0)" }))
                return hits
            }
            for (names, hits) in [before, (names, hits)].compactMap({ $0 }) {
                for (index, name) in names.enumerated() {
                    let amount = Int.random(in: 0...9)
                    workers.randomElement()!.count(hits, index, amount: amount)
                    expected[name, default: 0] += amount
                }
            }
            let shown = samples(small).filter { $0.hasPrefix("hits") }
            #expect(shown == names.map { "hits_total{limit=\"\($0)\"} \(expected[$0]!)" })
            // One that was in neither of two configurations begins anew.
            let present = Set(names + (before?.names ?? []))
            expected = expected.filter { present.contains($0.key) }
            before = (names, hits)
        }
    }

    @Test func `brings back what was gone for one configuration`() throws {
        let worker = registry.makeWorkerMetrics()
        worker.count(try declareHits(["a"]), amount: 5)
        _ = try declareHits(["b"])
        _ = try declareHits(["a"])
        #expect(samples(registry) == [#"hits_total{limit="a"} 5"#])
    }

    @Test func `stays as it was where the new metrics can't be declared`() throws {
        let worker = registry.makeWorkerMetrics()
        let hits = try declareHits(["a"])
        #expect(throws: UnfitMetrics(description: "the metrics take more than 256 numbers: fewer limits, routes or issuers are accepted")) {
            try declareHits((0..<300).map { "limit-\($0)" })
        }
        #expect(throws: UnfitMetrics.self) { try declareHits(["b", "b"]) }
        worker.count(hits)
        #expect(samples(registry) == [#"hits_total{limit="a"} 1"#])
    }

    @Test(arguments: ["", "1st", "a-b", "a b", "é"])
    func `refuses a name that no metric may have`(_ name: String) {
        #expect(throws: UnfitMetrics.self) {
            try registry.declare { (families) throws(UnfitMetrics) in try families.counter(name, "") }
        }
    }

    @Test(arguments: ["", "__a", "a:b", "le"])
    func `refuses a name that no label may have`(_ name: String) {
        #expect(throws: UnfitMetrics.self) {
            try registry.declare { (families) throws(UnfitMetrics) in try families.latencies("t_seconds", "", LabelSet(name, ["x"])) }
        }
    }

    @Test func `refuses a family that is declared twice, and a label`() {
        #expect(throws: UnfitMetrics(description: "the metric a_total is declared twice")) {
            try registry.declare { (families) throws(UnfitMetrics) in
                _ = try families.counter("a_total", "")
                _ = try families.gauge("a_total", "")
            }
        }
        #expect(throws: UnfitMetrics.self) {
            try registry.declare { (families) throws(UnfitMetrics) in
                try families.counter("a_total", "", LabelSet("x", ["1"]).crossed(with: "x", ["2"]))
            }
        }
    }
}
