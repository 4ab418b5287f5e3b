import CCurl

/// One GET under way. Belongs to the thread that drives its ``CurlTransfers``.
@safe final class CurlTransfer {
    private static let connectTimeoutMilliseconds = 5000
    private static let timeoutMilliseconds = 10_000

    let handle: UnsafeMutableRawPointer
    let address: KeyAddress
    private let fields: UnsafeMutablePointer<curl_slist>?
    private let errorText: UnsafeMutablePointer<CChar>
    private var header: [UInt8] = []
    private var body: [UInt8] = []
    private var isTooLong = false

    /// - Parameter caFile: the authorities to trust; the system's where it is nil.
    init(_ address: KeyAddress, caFile: String?) {
        guard let handle = unsafe curl_easy_init() else { fatalError("libcurl has no handle") }
        unsafe self.handle = unsafe handle
        self.address = address
        unsafe fields = curl_slist_append(nil, "Accept: application/json")
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        configure(caFile)
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(fields)
        unsafe errorText.deallocate()
    }

    private func configure(_ caFile: String?) {
        let numbers: [(CURLoption, Int)] = [
            (CURLOPT_NOSIGNAL, 1), (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_SSL_VERIFYPEER, 1), (CURLOPT_SSL_VERIFYHOST, 2),
            (CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)), (CURLOPT_CONNECTTIMEOUT_MS, Self.connectTimeoutMilliseconds),
            (CURLOPT_TIMEOUT_MS, Self.timeoutMilliseconds),
            // The next fetch is minutes away.
            (CURLOPT_FORBID_REUSE, 1),
            // A name that is still being resolved is left behind: waiting for it would hold up every other source.
            (CURLOPT_QUICK_EXIT, 1),
        ]
        var codes = numbers.map { unsafe curl_set_number(handle, $0.0, $0.1) }
        codes += unsafe [
            curl_set_text(handle, CURLOPT_URL, address.text),
            curl_set_text(handle, CURLOPT_PROTOCOLS_STR, address.isHTTPS ? "https" : "http"),
            // No proxy, whatever the environment says.
            curl_set_text(handle, CURLOPT_PROXY, ""),
            curl_set_text(handle, CURLOPT_USERAGENT, "gatehouse"),
            curl_set_list(handle, CURLOPT_HTTPHEADER, fields),
            curl_set_error_buffer(handle, errorText),
        ]
        if let caFile { codes.append(unsafe curl_set_text(handle, CURLOPT_CAINFO, caFile)) }
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        codes.append(unsafe curl_set_receiver(handle, CURLOPT_HEADERFUNCTION, { bytes, size, count, context in
            unsafe CurlTransfer.of(context).receiveHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }, CURLOPT_HEADERDATA, context))
        codes.append(unsafe curl_set_receiver(handle, CURLOPT_WRITEFUNCTION, { bytes, size, count, context in
            unsafe CurlTransfer.of(context).receiveBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }, CURLOPT_WRITEDATA, context))
        // Each of them is a promise: a fetch without one of them must not be.
        precondition(codes.allSatisfy { $0 == CURLE_OK }, "libcurl lacks an option")
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> CurlTransfer {
        unsafe Unmanaged<CurlTransfer>.fromOpaque(context!).takeUnretainedValue()
    }

    /// As libcurl's callbacks do, returns how many bytes it took: fewer than it got ends the transfer.
    private func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        isTooLong = header.count + bytes.count > FetchedAnswer.maximumHeaderBytes
        guard !isTooLong else { return 0 }
        unsafe header.append(contentsOf: bytes)
        return bytes.count
    }

    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        isTooLong = body.count + bytes.count > FetchedAnswer.maximumBytes
        guard !isTooLong else { return 0 }
        unsafe body.append(contentsOf: bytes)
        return bytes.count
    }

    /// What it came to.
    ///
    /// - Parameter code: as `curl_multi_info_read` gave it.
    func result(_ code: CURLcode) -> Result<FetchedAnswer, UnusableKeySource> {
        if isTooLong {
            let accepted = "\(FetchedAnswer.maximumBytes) bytes, or \(FetchedAnswer.maximumHeaderBytes) of header"
            return .failure(UnusableKeySource("\(address) answered more than \(accepted)"))
        }
        guard code == CURLE_OK else {
            let text = unsafe errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(code))
            return .failure(UnusableKeySource("\(address): \(text)"))
        }
        return .success(FetchedAnswer(status: unsafe curl_response_code(handle), header: header, body: body))
    }
}
