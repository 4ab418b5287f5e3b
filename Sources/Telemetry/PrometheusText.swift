import Bytes

/// The Prometheus text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
enum PrometheusText {
    static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

    // MARK: Names

    static func isMetricName(_ name: String) -> Bool { isName(name, mayHaveColons: true) }

    /// `__` in front is Prometheus' own.
    static func isLabelName(_ name: String) -> Bool { isName(name, mayHaveColons: false) && !name.hasPrefix("__") }

    private static func isName(_ name: String, mayHaveColons: Bool) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: mayHaveColons && byte == UInt8(ascii: ":")
            }
        }
    }

    /// A series' labels without the braces: `kind="token",reason="allowed"`.
    static func labels(_ names: [String], _ values: [String]) -> String {
        zip(names, values).map { "\($0)=\"\(escaped($1, quotes: true))\"" }.joined(separator: ",")
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        // By scalars: a quote and a combining mark behind it are one Character.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    // MARK: Families

    /// - Parameter totals: what the workers counted in each series, cell by cell; empty for a family of readings.
    static func write(_ family: MetricFamily, _ totals: [[Int]], to buffer: ByteBuffer) {
        let type = switch family.kind {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        }
        buffer.append(utf8: "# HELP \(family.name) \(escaped(family.help, quotes: false))\n# TYPE \(family.name) \(type)\n")
        for (index, labels) in family.series.enumerated() {
            switch family.source {
            case .workers where family.kind == .histogram: writeHistogram(family.name, labels, totals[index], to: buffer)
            case .workers: write(family.name, labels, to: buffer) { $0.append(decimal: totals[index][0]) }
            case .reading(let read):
                guard let value = read(index) else { continue }
                write(family.name, labels, to: buffer) { append(value, to: $0) }
            }
        }
    }

    private static func writeHistogram(_ name: String, _ labels: String, _ cells: [Int], to buffer: ByteBuffer) {
        let separator = labels.isEmpty ? "" : ","
        var count = 0
        for index in 0..<LatencyBuckets.boundCount {
            count += cells[index]
            let bound = ByteBuffer(capacity: 32)
            append(nanoseconds: LatencyBuckets.boundNanoseconds(index), to: bound)
            write(name + "_bucket", "\(labels)\(separator)le=\"\(bound.bytes.text)\"", to: buffer) { $0.append(decimal: count) }
        }
        // From the same cells as the buckets, so that they agree whatever is counted meanwhile.
        count += cells[LatencyBuckets.boundCount]
        write(name + "_bucket", "\(labels)\(separator)le=\"+Inf\"", to: buffer) { $0.append(decimal: count) }
        write(name + "_sum", labels, to: buffer) { append(nanoseconds: cells[LatencyBuckets.sumOffset], to: $0) }
        write(name + "_count", labels, to: buffer) { $0.append(decimal: count) }
    }

    private static func write(_ name: String, _ labels: String, to buffer: ByteBuffer, _ value: (ByteBuffer) -> Void) {
        buffer.append(utf8: labels.isEmpty ? "\(name) " : "\(name){\(labels)} ")
        value(buffer)
        buffer.append(UInt8(ascii: "\n"))
    }

    // MARK: Numbers

    /// As seconds, without trailing zeros.
    private static func append(nanoseconds: Int, to buffer: ByteBuffer) {
        var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        buffer.append(decimal: seconds)
        guard rest > 0 else { return }
        buffer.append(UInt8(ascii: "."))
        while rest > 0 {
            (seconds, rest) = (rest * 10).quotientAndRemainder(dividingBy: 1_000_000_000)
            buffer.append(decimal: seconds)
        }
    }

    private static func append(_ number: Double, to buffer: ByteBuffer) {
        if number.isNaN {
            buffer.append("NaN")
        } else if number.isInfinite {
            buffer.append(number > 0 ? "+Inf" : "-Inf")
        } else if let integer = Int(exactly: number) {
            buffer.append(decimal: integer)
        } else {
            buffer.append(utf8: number.description)
        }
    }
}
