import CNghttp2
import Glibc

/// What one of nghttp2's sessions stands in, which takes next to no memory while the session sleeps.
///
/// A session that has served a request takes some 13 KB of its own: its structure, a table of streams, the rings of two header tables, and
/// what was written to of a buffer for a frame. Between requests that is zeros by far the most. So it is made in one room, whose pages the
/// system gets back in ``sleep()``; the words that aren't zero stand elsewhere until ``wake()``. No address changes. What the library
/// allocates later, for a stream or a field of a header table, are ``SpareBlocks``.
@safe final class SessionMemory {
    /// First what is kept, beginning with a ``Head``, then the buffer for a frame. Both are whole pages.
    ///
    /// Of the buffer nothing is kept: nghttp2 resets it whenever a frame has been sent (`active_outbound_item_reset` in nghttp2_session.c, looked up in
    /// 1.52), and asks for nothing to be sent only then. A later version has to be seen to do so too; what it needs more when it is made would but
    /// stand elsewhere.
    private let room: UnsafeMutableRawPointer
    private let blocks: SpareBlocks
    /// Of each 64 words of the kept part: which are not zero, by a bit each, and those. Nil while the session is awake.
    private var words: [UInt64]?

    init(_ blocks: SpareBlocks) {
        var room: UnsafeMutableRawPointer?
        guard unsafe posix_memalign(&room, pageByteCount, roomByteCount) == 0, let room = unsafe room else {
            fatalError("no memory for an HTTP/2 session")
        }
        // What stood there before may have been written to.
        if unsafe madvise(room, roomByteCount, MADV_DONTNEED) != 0 { unsafe memset(room, 0, roomByteCount) }
        unsafe room.initializeMemory(as: Head.self, to: Head(blocks: Unmanaged.passUnretained(blocks)))
        unsafe self.room = room
        self.blocks = blocks
    }

    /// To be called after `nghttp2_session_del`.
    deinit { unsafe free(room) }

    var isAsleep: Bool { words != nil }

    /// Lends what a session is to be made with, which it copies. What it allocates after that does not stand here: it is `malloc`'s, whether it comes
    /// from the spares or not, and what it frees of this room stays unused.
    func lend<Result>(_ body: (UnsafeMutablePointer<nghttp2_mem>) -> Result) -> Result {
        var memory = unsafe nghttp2_mem(
            mem_user_data: room,
            malloc: { byteCount, room in unsafe place(byteCount, in: room!) ?? head(of: room!).pointee.blocks._withUnsafeGuaranteedRef { unsafe $0.take(byteCount) } },
            free: { place, room in
                guard let place = unsafe place, unsafe !isPart(place, of: room!) else { return }
                unsafe head(of: room!).pointee.blocks._withUnsafeGuaranteedRef { unsafe $0.give(place) }
            },
            calloc: { count, byteCount, room in unsafe place(count * byteCount, in: room!) ?? calloc(count, byteCount) },
            realloc: { place, byteCount, room in unsafe enlarge(place, to: byteCount, in: room!) })
        defer { unsafe head(of: room).pointee.isMade = true }
        return unsafe body(&memory)
    }

    /// Gives the room's pages back until ``wake()``: to be called when all is sent.
    func sleep() {
        guard words == nil else { return }
        let words = pack()
        self.words = words
        // Where the system doesn't take them, maybe not all of them, nothing is to be lost.
        if unsafe madvise(room, roomByteCount, MADV_DONTNEED) != 0 { wake() }
    }

    /// To be called before anything is asked of the session.
    @inline(__always)
    func wake() {
        if words != nil { unpack() }
    }

    private func pack() -> [UInt64] {
        let all = unsafe UnsafeBufferPointer(start: room.assumingMemoryBound(to: UInt64.self), count: keptByteCount / 8)
        var words: [UInt64] = []
        words.reserveCapacity(unsafe all.count / 64 + all.count { $0 != 0 })
        for first in stride(from: 0, to: all.count, by: 64) {
            let head = words.count
            words.append(0)
            for index in 0..<64 where unsafe all[first + index] != 0 {
                words[head] |= 1 << index
                unsafe words.append(all[first + index])
            }
        }
        return words
    }

    private func unpack() {
        guard let words = words.take() else { return }
        let all = unsafe UnsafeMutableBufferPointer(start: room.assumingMemoryBound(to: UInt64.self), count: keptByteCount / 8)
        var next = 0
        for first in stride(from: 0, to: all.count, by: 64) {
            var mask = words[next]
            next += 1
            while mask != 0 {
                unsafe all[first + mask.trailingZeroBitCount] = words[next]
                next += 1
                mask &= mask - 1
            }
        }
    }
}

private let pageByteCount = Int(sysconf(Int32(_SC_PAGESIZE)))
/// What a session of nghttp2 1.52 allocates when it is made, some 9 KB, and a little more.
private let keptByteCount = wholePages(10 * 1024)
private let roomByteCount = keptByteCount + wholePages(frameByteCount + 1024)
private let frameByteCount = 16 * 1024

private func wholePages(_ byteCount: Int) -> Int { (byteCount + pageByteCount - 1) / pageByteCount * pageByteCount }

/// What the room begins with.
@unsafe private struct Head {
    let blocks: Unmanaged<SpareBlocks>
    /// Where the next thing will stand, in bytes.
    var next = unsafe (MemoryLayout<Head>.size + 15) / 16 * 16
    var hasFrame = false
    /// Whether the session is made.
    var isMade = false
}

private func head(of room: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Head> { unsafe room.assumingMemoryBound(to: Head.self) }

/// - Returns: zeros; nil where they are to be allocated elsewhere.
private func place(_ byteCount: Int, in room: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let head = unsafe head(of: room)
    let start = unsafe head.pointee.next
    guard unsafe !head.pointee.isMade, byteCount > 0, byteCount <= keptByteCount - start else { return nil }
    unsafe head.pointee.next = (start + byteCount + 15) / 16 * 16
    return unsafe room + start
}

private func isPart(_ place: UnsafeMutableRawPointer?, of room: UnsafeMutableRawPointer) -> Bool {
    UInt(bitPattern: place) &- UInt(bitPattern: room) < UInt(roomByteCount)
}

/// The library allocates its buffers by this.
private func enlarge(_ place: UnsafeMutableRawPointer?, to byteCount: Int, in room: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    let head = unsafe head(of: room)
    let mayBeFrame = byteCount >= frameByteCount && byteCount <= roomByteCount - keptByteCount
    if unsafe place == nil, mayBeFrame, unsafe !head.pointee.hasFrame, unsafe !head.pointee.isMade {
        unsafe head.pointee.hasFrame = true
        return unsafe room + keptByteCount
    }
    guard let place = unsafe place, unsafe isPart(place, of: room) else { return unsafe realloc(place, byteCount) }
    guard let new = unsafe malloc(byteCount) else { return nil }
    // How much of it there was isn't known, so as much as there may have been.
    unsafe memcpy(new, place, min(byteCount, UnsafeRawPointer(room + roomByteCount) - UnsafeRawPointer(place)))
    return unsafe new
}
