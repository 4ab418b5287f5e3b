import CLinux
import Glibc

/// Memory that nghttp2 has let go of, kept for what it asks for next: each request takes half a dozen small blocks and gives them back.
///
/// For the sessions of one thread, or a single one. What glibc's `malloc` itself keeps for that is seven blocks of a size, where a worker has hundreds of
/// streams; more is to be had by its environment alone (`glibc.malloc.tcache_count`), which is not a program's own to set.
@safe public final class SpareBlocks {
    /// One that is not in use: it holds the next of its size.
    @unsafe private struct Block {
        var next: UnsafeMutablePointer<Block>?
    }

    /// Those of one size.
    @unsafe private struct Size {
        /// The one that was given last.
        var first: UnsafeMutablePointer<Block>?
        var count = 0
        /// How few there have been since the last ``trim()``: so many nothing has needed.
        var fewest = 0
    }

    /// Blocks of more bytes, about, are `malloc`'s own concern.
    private static let largestByteCount = 1024

    /// The room of a block of glibc's `malloc` is 8 bytes and a multiple of 16: those of each multiple. Of another room, only so much would be used.
    private let sizes: UnsafeMutableBufferPointer<Size>
    private let maximumByteCount: Int
    private(set) var keptByteCount = 0

    /// - Parameter maximumByteCount: how much is kept at the most.
    public init(maximumByteCount: Int = 512 * 1024) {
        self.maximumByteCount = maximumByteCount
        unsafe sizes = .allocate(capacity: Self.largestByteCount / 16)
        unsafe sizes.initialize(repeating: Size())
    }

    deinit {
        for size in unsafe sizes.indices { unsafe free(sizes[size].count, of: size) }
        unsafe sizes.deallocate()
    }

    /// - Parameter byteCount: a `size_t`, so that one below 0 is more than there can be.
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let size = (max(byteCount, 24) &+ 7) / 16
        guard unsafe byteCount >= 0 && size < sizes.count, let block = unsafe removeFirst(of: size) else { return unsafe malloc(byteCount) }
        unsafe sizes[size].fewest = min(sizes[size].fewest, sizes[size].count)
        return UnsafeMutableRawPointer(block)
    }

    func give(_ place: UnsafeMutableRawPointer) {
        let room = unsafe linux_malloc_usable_size(place)
        let size = (room &- 8) / 16
        guard unsafe room >= 24 && size < sizes.count, keptByteCount &+ room <= maximumByteCount else { return unsafe Glibc.free(place) }
        let block = unsafe place.bindMemory(to: Block.self, capacity: 1)
        unsafe block.pointee.next = sizes[size].first
        unsafe sizes[size].first = block
        unsafe sizes[size].count &+= 1
        keptByteCount &+= size &* 16 &+ 8
    }

    /// Gives back half of what nothing has needed since the last call. To be called at regular times where there are many sessions.
    public func trim() {
        for size in unsafe sizes.indices {
            unsafe free((sizes[size].fewest + 1) / 2, of: size)
            unsafe sizes[size].fewest = sizes[size].count
        }
    }

    private func removeFirst(of size: Int) -> UnsafeMutablePointer<Block>? {
        guard let block = unsafe sizes[size].first else { return nil }
        unsafe sizes[size].first = block.pointee.next
        unsafe sizes[size].count &-= 1
        keptByteCount &-= size &* 16 &+ 8
        return unsafe block
    }

    private func free(_ count: Int, of size: Int) {
        for _ in 0..<count { unsafe Glibc.free(removeFirst(of: size)) }
    }
}
