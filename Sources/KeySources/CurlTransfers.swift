import CCurl

/// Any number of GETs at once, each under a tag of the caller's. One thread drives them; any thread may ``wake()`` it.
@safe final class CurlTransfers: @unchecked Sendable {
    private let multi: UnsafeMutableRawPointer
    // Touched by the driving thread only.
    private var underWay: [Int: CurlTransfer] = [:]

    /// What has ended: for whom, from where, and what it came to.
    typealias Finished = (tag: Int, address: KeyAddress, result: Result<FetchedAnswer, UnusableKeySource>)

    init() {
        // Before the first handle, and once: libcurl asks for no more.
        _ = Self.isInitialised
        guard let multi = unsafe curl_multi_init() else { fatalError("libcurl has no multi handle") }
        unsafe self.multi = unsafe multi
    }

    deinit {
        cancelAll()
        unsafe curl_multi_cleanup(multi)
    }

    private static let isInitialised = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// Begins a GET. Traps where one with this tag is under way.
    func start(_ tag: Int, _ address: KeyAddress, caFile: String?) {
        precondition(underWay[tag] == nil, "one transfer a tag")
        let transfer = CurlTransfer(address, caFile: caFile)
        guard unsafe curl_multi_add_handle(multi, transfer.handle) == CURLM_OK else { fatalError("libcurl takes no handle") }
        underWay[tag] = transfer
    }

    /// Waits for bytes, for ``wake()`` or for the time to pass, whichever comes first.
    func wait(milliseconds: Int32) { unsafe curl_multi_poll(multi, nil, 0, milliseconds, nil) }

    /// Makes a wait under way, or else the next one, return. From any thread.
    func wake() { unsafe curl_multi_wakeup(multi) }

    /// Moves all transfers on, and takes those that have ended.
    func takeFinished() -> [Finished] {
        var running: Int32 = 0
        unsafe curl_multi_perform(multi, &running)
        var finished: [Finished] = []
        var left: Int32 = 0
        while let message = unsafe curl_multi_info_read(multi, &left) {
            let (handle, code) = unsafe (message.pointee.easy_handle, message.pointee.data.result)
            guard let (tag, transfer) = underWay.first(where: { unsafe $0.value.handle == handle }) else { continue }
            finished.append((tag, transfer.address, transfer.result(code)))
            remove(tag)
        }
        return finished
    }

    /// Ends all transfers; nothing more is heard of them.
    func cancelAll() { for tag in underWay.keys { remove(tag) } }

    private func remove(_ tag: Int) {
        guard let transfer = underWay.removeValue(forKey: tag) else { return }
        unsafe curl_multi_remove_handle(multi, transfer.handle)
    }
}
