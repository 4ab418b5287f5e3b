import CCurl

/// The parts of an absolute URL as libcurl reads it: what is judged by its parts is then what is fetched.
struct CurlURL: Sendable, Hashable {
    let scheme: String
    /// In libcurl's normal form: decoded, IPv4 in four numbers, IPv6 in brackets.
    let host: String
    let port: String?
    let path: String

    /// Nil for what libcurl does not take for an absolute URL.
    init?(_ text: String) {
        guard let url = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(url) }
        guard unsafe curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK,
            let scheme = unsafe Self.part(CURLUPART_SCHEME, of: url),
            let host = unsafe Self.part(CURLUPART_HOST, of: url)
        else { return nil }
        self.scheme = scheme.lowercased()
        self.host = host.lowercased()
        port = unsafe Self.part(CURLUPART_PORT, of: url)
        path = unsafe Self.part(CURLUPART_PATH, of: url) ?? "/"
    }

    private static func part(_ part: CURLUPart, of url: OpaquePointer) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard unsafe curl_url_get(url, part, &text, 0) == CURLUE_OK, let text = unsafe text else { return nil }
        defer { unsafe curl_free(text) }
        return unsafe String(cString: text)
    }
}
