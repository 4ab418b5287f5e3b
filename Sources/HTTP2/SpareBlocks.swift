import CLinux
import Glibc

/// Memory that nghttp2 has let go of, kept for what it asks for next: each request takes half a dozen small blocks and gives them back.
///
/// For the sessions of one thread. What `malloc` itself keeps for that is seven blocks of a size, where a worker has hundreds of streams.
@safe public final class SpareBlocks {
    /// One that is not in use: it holds the next of its size.
    private struct Block {
        var next: UnsafeMutablePointer<Block>?
    }

    /// Blocks of more bytes, about, are `malloc`'s own concern.
    private static let largestByteCount = 1024
    /// How much is kept at the most.
    private static let maximumByteCount = 512 * 1024
    /// The room of a block of `malloc`'s is 8 bytes and a multiple of 16: by that multiple, the latest of each size.
    private let latest: UnsafeMutableBufferPointer<UnsafeMutablePointer<Block>?>
    private var byteCount = 0

    public init() {
        unsafe latest = .allocate(capacity: Self.largestByteCount / 16)
        unsafe latest.initialize(repeating: nil)
    }

    deinit {
        for index in latest.indices {
            var block = unsafe latest[index]
            while let unused = unsafe block {
                unsafe block = unused.pointee.next
                unsafe free(unused)
            }
        }
        unsafe latest.deallocate()
    }

    func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let size = (max(byteCount, 24) &+ 7) / 16
        guard byteCount >= 0, size < latest.count, let block = unsafe latest[size] else { return unsafe malloc(byteCount) }
        unsafe latest[size] = block.pointee.next
        self.byteCount &-= size &* 16 &+ 8
        return UnsafeMutableRawPointer(block)
    }

    func give(_ place: UnsafeMutableRawPointer) {
        let room = unsafe linux_malloc_usable_size(place)
        let size = (room &- 8) / 16
        guard room >= 24, size < latest.count, byteCount &+ room <= Self.maximumByteCount else { return unsafe free(place) }
        let block = unsafe place.bindMemory(to: Block.self, capacity: 1)
        unsafe block.pointee.next = latest[size]
        unsafe latest[size] = block
        byteCount &+= size &* 16 &+ 8
    }
}
