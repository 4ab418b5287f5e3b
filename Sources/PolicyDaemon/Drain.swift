/// Whether, and until when, a worker's clients are asked to leave. Belongs to one worker.
final class Drain {
    private(set) var hasBegun = false
    /// The moment, on the loop's clock, at which those still there are cut off.
    private(set) var endMilliseconds = Int64.max

    func begin(endMilliseconds: Int64) {
        hasBegun = true
        self.endMilliseconds = endMilliseconds
    }
}
