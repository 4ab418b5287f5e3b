import CNghttp2
import Glibc

/// Where nghttp2's sessions get their memory: from `malloc`, but for a buffer as large as a frame may be. Each session keeps one, of which
/// nearly every frame takes a few bytes: its pages are the system's until something is written to them.
nonisolated(unsafe) let leanMemory = unsafe nghttp2_mem(
    mem_user_data: nil,
    malloc: { byteCount, _ in unsafe malloc(byteCount) },
    free: { place, _ in unsafe free(place) },
    calloc: { count, byteCount, _ in unsafe calloc(count, byteCount) },
    // The library allocates its buffers by this.
    realloc: { place, byteCount, _ in
        unsafe place == nil && byteCount >= frameByteCount ? untouched(byteCount) : realloc(place, byteCount)
    })

private let frameByteCount = 16 * 1024
private let pageByteCount = Int(sysconf(Int32(_SC_PAGESIZE)))

private func untouched(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    var place: UnsafeMutableRawPointer?
    guard unsafe posix_memalign(&place, pageByteCount, byteCount) == 0, let place = unsafe place else { return nil }
    // What stood there before may have been written to. It is but advice: nothing is lost where the system doesn't take it.
    unsafe madvise(place, byteCount / pageByteCount * pageByteCount, MADV_DONTNEED)
    return unsafe place
}
