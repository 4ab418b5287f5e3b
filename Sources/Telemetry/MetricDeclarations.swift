/// Metrics that cannot be declared: what was found and what is accepted.
public struct UnfitMetrics: Error, Equatable, CustomStringConvertible {
    public let description: String
}

/// The families of one configuration while they are declared, in the order in which they are shown.
public struct MetricDeclarations {
    private(set) var families: [MetricFamily] = []
    private(set) var cells: MetricCells

    init(_ cells: MetricCells) { self.cells = cells }

    /// A number that only grows. `name` ends in `_total`.
    public mutating func counter(
        _ name: String, _ help: String, _ labels: LabelSet = .none
    ) throws(UnfitMetrics) -> CounterFamily {
        CounterFamily(cells: try declare(name, help, labels, .counter))
    }

    /// A number that workers raise and lower; their sum is shown.
    public mutating func gauge(_ name: String, _ help: String, _ labels: LabelSet = .none) throws(UnfitMetrics) -> GaugeFamily {
        GaugeFamily(cells: try declare(name, help, labels, .gauge))
    }

    /// How long things take. `name` ends in `_seconds`.
    public mutating func latencies(
        _ name: String, _ help: String, _ labels: LabelSet = .none
    ) throws(UnfitMetrics) -> LatencyFamily {
        LatencyFamily(cells: try declare(name, help, labels, .histogram))
    }

    /// A number that is asked for when it is to be shown.
    ///
    /// - Parameter read: is given the series' index, on the thread that shows them; nil leaves the series out.
    public mutating func gauge(
        _ name: String, _ help: String, _ labels: LabelSet = .none, read: @escaping @Sendable (Int) -> Double?
    ) throws(UnfitMetrics) {
        try declare(name, help, labels, .gauge, read: read)
    }

    /// A number that only grows, and is asked for when it is to be shown.
    ///
    /// - Parameter read: is given the series' index, on the thread that shows them; nil leaves the series out.
    public mutating func counter(
        _ name: String, _ help: String, _ labels: LabelSet = .none, read: @escaping @Sendable (Int) -> Double?
    ) throws(UnfitMetrics) {
        try declare(name, help, labels, .counter, read: read)
    }

    private mutating func declare(
        _ name: String, _ help: String, _ labels: LabelSet, _ kind: MetricFamily.Kind
    ) throws(UnfitMetrics) -> Range<Int> {
        let series = try judged(name, labels, kind)
        let place = try cells.place(name, series: series, width: kind.width)
        families.append(MetricFamily(name: name, help: help, kind: kind, series: series, source: .workers))
        return place
    }

    private mutating func declare(
        _ name: String, _ help: String, _ labels: LabelSet, _ kind: MetricFamily.Kind,
        read: @escaping @Sendable (Int) -> Double?
    ) throws(UnfitMetrics) {
        families.append(
            MetricFamily(name: name, help: help, kind: kind, series: try judged(name, labels, kind), source: .reading(read)))
    }

    /// Each series' labels as they are shown, once name and labels are found to be fit.
    private func judged(_ name: String, _ labels: LabelSet, _ kind: MetricFamily.Kind) throws(UnfitMetrics) -> [String] {
        guard PrometheusText.isMetricName(name) else {
            throw UnfitMetrics(description: "the metric name \(name.debugDescription): letters, digits, _ and : are accepted")
        }
        guard !families.contains(where: { $0.name == name }) else {
            throw UnfitMetrics(description: "the metric \(name) is declared twice")
        }
        for label in labels.names {
            guard PrometheusText.isLabelName(label), kind != .histogram || label != "le" else {
                throw UnfitMetrics(
                    description: "the label name \(label.debugDescription) of \(name): letters, digits and _ are accepted, not __ in front, nor le")
            }
        }
        let series = labels.rows.map { PrometheusText.labels(labels.names, $0) }
        guard Set(labels.names).count == labels.names.count, Set(series).count == series.count else {
            throw UnfitMetrics(description: "\(name) has two labels or two series of one name")
        }
        return series
    }
}
