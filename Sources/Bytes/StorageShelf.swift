/// Storage that is lent to buffers which have next to none, the last that was taken back first. What a borrower had lies in its place.
///
/// Buffers' storage rather than buffers: none is retained or released, and nothing of it is touched but where it lies.
@safe public final class StorageShelf {
    private let places: UnsafeMutablePointer<ByteBuffer.State>
    private let maximum: Int
    /// How many places hold storage to lend: the first ones.
    private var fullCount = 0
    /// How many places hold any: those behind hold what borrowers had.
    private var count = 0

    /// - Parameter maximum: how many are kept.
    public init(maximum: Int) {
        self.maximum = maximum
        unsafe places = .allocate(capacity: maximum)
    }

    deinit {
        for index in 0..<count { unsafe ByteBuffer.free(places[index]) }
        unsafe places.deallocate()
    }

    /// Gives `buffer` storage for its own. Traps where it holds bytes.
    ///
    /// - Returns: false where there is none.
    public func lend(to buffer: ByteBuffer) -> Bool {
        precondition(buffer.isEmpty, "only an empty buffer exchanges its storage")
        guard fullCount > 0 else { return false }
        fullCount -= 1
        unsafe swap(&places[fullCount], &buffer.state.pointee)
        return true
    }

    /// Takes the storage of `buffer`, and gives it what a borrower had. Traps where it holds bytes.
    ///
    /// - Returns: false where there are as many as are kept.
    public func take(from buffer: ByteBuffer) -> Bool {
        precondition(buffer.isEmpty, "only an empty buffer exchanges its storage")
        guard fullCount < maximum else { return false }
        if fullCount == count {
            unsafe (places + count).initialize(to: ByteBuffer.State(capacity: 16))
            count += 1
        }
        unsafe swap(&places[fullCount], &buffer.state.pointee)
        fullCount += 1
        return true
    }
}
