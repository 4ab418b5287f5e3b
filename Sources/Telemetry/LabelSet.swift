/// The labels of a family: their names, and every combination of values that can occur.
///
/// The set is closed, so that a series is found by its index, and nothing that a client sends can make a new one.
public struct LabelSet: Sendable, Equatable {
    let names: [String]
    /// The values of each series, in the order of the names.
    let rows: [[String]]

    /// The one series of a family without labels.
    public static let none = LabelSet(names: [], rows: [[]])

    /// One label: a series for each value, at the value's index.
    public init(_ name: String, _ values: [String]) { self.init(names: [name], rows: values.map { [$0] }) }

    /// Several labels of which not all combinations occur: a series for each row, at the row's index.
    public init(names: [String], rows: [[String]]) {
        self.names = names
        self.rows = rows
    }

    /// All combinations with another label's values: that of the `i`th here and the `j`th there has the index
    /// `i * values.count + j`.
    public func crossed(with name: String, _ values: [String]) -> LabelSet {
        LabelSet(names: names + [name], rows: rows.flatMap { row in values.map { row + [$0] } })
    }
}
