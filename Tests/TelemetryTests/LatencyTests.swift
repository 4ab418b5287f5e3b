import Testing

@testable import Telemetry

@Suite struct `A latency histogram` {
    /// What the index is computed from by bits, written as the definition says it: the first bucket whose bound is not less.
    private func expectedIndex(_ nanoseconds: Int64) -> Int {
        (0..<LatencyBuckets.boundCount).first { nanoseconds <= LatencyBuckets.boundNanoseconds($0) } ?? LatencyBuckets.boundCount
    }

    @Test func `puts every bound, and what lies beside it, where it belongs`() {
        for index in 0..<LatencyBuckets.boundCount {
            let bound = Int64(LatencyBuckets.boundNanoseconds(index))
            for nanoseconds in [bound - 1, bound, bound + 1, bound * 3 / 2] {
                #expect(LatencyBuckets.index(nanoseconds: nanoseconds) == expectedIndex(nanoseconds), "\(nanoseconds)")
            }
        }
        for nanoseconds in [Int64.min, -1, 0, 1, 9_999, .max] {
            #expect(LatencyBuckets.index(nanoseconds: nanoseconds) == expectedIndex(nanoseconds), "\(nanoseconds)")
        }
    }

    @Test func `puts any duration where it belongs`() {
        for _ in 0..<100_000 {
            let nanoseconds = Int64.random(in: 0...(1 << Int64.random(in: 1...40)))
            #expect(LatencyBuckets.index(nanoseconds: nanoseconds) == expectedIndex(nanoseconds), "\(nanoseconds)")
        }
    }

    @Test func `is shown with cumulative buckets, their sum in seconds and their count`() throws {
        let registry = MetricRegistry()
        let latencies = try registry.declare { (families) throws(UnfitMetrics) in
            try families.latencies("t_seconds", "How long.", LabelSet("dialect", ["native", "envoy"]))
        }
        let worker = registry.makeWorkerMetrics()
        for nanoseconds: Int64 in [-5, 4_000, 10_000, 10_001, 1_500_000_000, 11_000_000_000] {
            worker.observe(nanoseconds: nanoseconds, in: latencies, 1)
        }
        let lines = samples(registry)
        #expect(lines.count == 2 * 24)
        #expect(lines[0] == #"t_seconds_bucket{dialect="native",le="0.00001"} 0"#)
        let ofEnvoy = lines[24...].map { $0.replacing(#"dialect="envoy","#, with: "") }
        #expect(ofEnvoy.prefix(3) == [
            #"t_seconds_bucket{le="0.00001"} 3"#, #"t_seconds_bucket{le="0.00002"} 4"#, #"t_seconds_bucket{le="0.00004"} 4"#,
        ])
        #expect(ofEnvoy.suffix(5) == [
            #"t_seconds_bucket{le="5.24288"} 5"#, #"t_seconds_bucket{le="10.48576"} 5"#, #"t_seconds_bucket{le="+Inf"} 6"#,
            #"t_seconds_sum{dialect="envoy"} 12.500024001"#, #"t_seconds_count{dialect="envoy"} 6"#,
        ])
    }
}
