/// Which cells of the workers' blocks each family has, from one configuration to the next.
///
/// A family whose series stay the same keeps its cells. One that changes gets others; those it had are counted in for a while,
/// by requests that began under the old configuration. So both are added up until the next configuration, which notes what the
/// old ones came to and gives them to whoever needs cells.
struct MetricCells {
    /// A family's place: the cells of its series, one after the other.
    private struct Place {
        let series: [String]
        /// How many cells a series takes.
        let width: Int
        let cells: Range<Int>

        func cells(of index: Int) -> Range<Int> {
            cells.lowerBound + index * width..<cells.lowerBound + (index + 1) * width
        }
    }

    private struct Series: Hashable {
        let family: String
        let labels: String
    }

    private let capacity: Int
    private var current: [String: Place] = [:]
    /// Places given up with this configuration.
    private var retired: [String: Place] = [:]
    private var free: [Range<Int>]
    /// What each cell held when it became its present series'.
    private var baseline: [Int]
    /// Cells that got another family with this configuration.
    private var fresh: [Range<Int>] = []
    /// What series came to in cells that are no longer theirs.
    private var carried: [Series: [Int]] = [:]

    init(capacity: Int) {
        self.capacity = capacity
        free = [0..<capacity]
        baseline = Array(repeating: 0, count: capacity)
    }

    // MARK: A new configuration

    /// Begins a configuration in which nothing has a place yet.
    ///
    /// - Parameter sum: what all workers counted in a cell.
    mutating func begin(_ sum: (Int) -> Int) {
        for (name, place) in retired {
            for (index, labels) in place.series.enumerated() {
                let series = Series(family: name, labels: labels)
                carried[series] = added(carried[series], place.cells(of: index).map { sum($0) &- baseline[$0] })
            }
            giveBack(place.cells)
        }
        retired = current
        current = [:]
        fresh = []
    }

    /// The cells of the family `name`: those it had where its series are the same, else others.
    mutating func place(_ name: String, series: [String], width: Int) throws(UnfitMetrics) -> Range<Int> {
        if let place = retired[name], place.series == series, place.width == width {
            retired[name] = nil
            current[name] = place
            return place.cells
        }
        let count = series.count * width
        guard let index = free.firstIndex(where: { $0.count >= count }) else {
            throw UnfitMetrics(
                description: "the metrics take more than \(capacity) numbers: fewer limits, routes or issuers are accepted")
        }
        let cells = free[index].lowerBound..<free[index].lowerBound + count
        free[index] = cells.upperBound..<free[index].upperBound
        current[name] = Place(series: series, width: width, cells: cells)
        fresh.append(cells)
        return cells
    }

    /// Ends what ``begin(_:)`` began: from now on every series counts from here.
    mutating func end(_ sum: (Int) -> Int) {
        for cell in fresh.joined() { baseline[cell] = sum(cell) }
        var kept: Set<Series> = []
        for (name, place) in current { kept.formUnion(place.series.map { Series(family: name, labels: $0) }) }
        for (name, place) in retired { kept.formUnion(place.series.map { Series(family: name, labels: $0) }) }
        carried = carried.filter { kept.contains($0.key) }
    }

    /// Joins `cells` with the free ones on either side, so that a family that grows finds them in one piece.
    private mutating func giveBack(_ cells: Range<Int>) {
        free.append(cells)
        free.sort { $0.lowerBound < $1.lowerBound }
        var joined: [Range<Int>] = []
        for range in free where !range.isEmpty {
            if let last = joined.last, last.upperBound == range.lowerBound {
                joined[joined.count - 1] = last.lowerBound..<range.upperBound
            } else {
                joined.append(range)
            }
        }
        free = joined
    }

    // MARK: What was counted

    /// What each series of the family `name` came to, cell by cell.
    ///
    /// - Parameter sum: what all workers counted in a cell.
    func totals(of name: String, _ sum: (Int) -> Int) -> [[Int]] {
        guard let place = current[name] else { return [] }
        let before = retired[name].flatMap { $0.width == place.width ? $0 : nil }
        let placesBefore = Dictionary(uniqueKeysWithValues: (before?.series ?? []).enumerated().map { ($1, $0) })
        return place.series.enumerated().map { index, labels in
            var total = added(carried[Series(family: name, labels: labels)], place.cells(of: index).map { sum($0) &- baseline[$0] })
            if let before, let index = placesBefore[labels] {
                total = added(total, before.cells(of: index).map { sum($0) &- baseline[$0] })
            }
            return total
        }
    }

    private func added(_ one: [Int]?, _ other: [Int]) -> [Int] {
        guard let one, one.count == other.count else { return other }
        return zip(one, other).map { $0 &+ $1 }
    }
}
