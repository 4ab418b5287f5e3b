import Bytes
import EventLoop

/// How a body arrives: one that fills its buffers several times over goes on in larger ones.
struct Flow {
    /// How many full buffers in succession make bulk of it.
    private static let fullBuffersOfBulk = 2

    private let mayBeBulk: Bool
    private var fullCount = 0

    /// - Parameter mayBeBulk: whether larger buffers may be used at all.
    init(mayBeBulk: Bool) { self.mayBeBulk = mayBeBulk }

    /// Notes how many bytes one attempt to receive has brought.
    mutating func note(_ byteCount: Int) {
        if byteCount < Relay.roomBytes {
            fullCount = 0
        } else if fullCount < Self.fullBuffersOfBulk {
            fullCount &+= 1
        }
    }

    /// Sees that there is room for what comes next, where much is expected.
    func furnishIfBulk(_ buffer: ByteBuffer, _ pool: BufferPool) {
        if mayBeBulk, fullCount == Self.fullBuffersOfBulk { pool.furnishForBulk(buffer) }
    }
}
