import Synchronization

/// A mark of a class that is looked at many times a request: a plain load or store each.
///
/// A `var` of a class pays for a check of exclusive access each time (`swift_beginAccess`, 60 instructions), unless the compiler sees
/// every use of it. Nothing can overlap with one load or store, so nothing is given up here.
struct Flag: ~Copyable {
    private let cell: Atomic<Bool>

    init(_ isSet: Bool) { cell = Atomic(isSet) }

    var isSet: Bool {
        get { cell.load(ordering: .relaxed) }
        nonmutating set { cell.store(newValue, ordering: .relaxed) }
    }
}
