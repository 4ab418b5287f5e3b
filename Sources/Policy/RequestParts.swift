import Bytes

/// A request to be judged, as places in bytes that are lent beside it: so a proxy's message is judged where it stands, whatever
/// language it came in.
///
/// All of it is as the proxy will forward it (the path in its normal form), so that what is judged is what happens.
public struct RequestParts: Sendable {
    /// A header field. A name that came more than once is there as often.
    public struct Header: Sendable {
        /// In lower case.
        public let name: Range<Int>
        public let value: Range<Int>

        public init(name: Range<Int>, value: Range<Int>) {
            self.name = name
            self.value = value
        }
    }

    /// As received: methods are told apart by case (RFC 9110 §9.1).
    public var method = 0..<0
    /// Host and perhaps port; empty where the request names none.
    public var authority = 0..<0
    /// In its normal form, beginning with a slash; or `*`.
    public var path = 0..<0
    /// What stands behind the question mark; nil where there is none.
    public var query: Range<Int>?
    /// The client's IP address as text; empty where it has none.
    public var clientAddress = 0..<0
    public var headers: [Header] = []
    /// What the client has shown, and whoever asks has verified; nil for none. No header is ever taken for one.
    public var certificate: CertificateParts?

    public init() {}

    /// Splits a target into path and query.
    public mutating func setTarget(_ target: Range<Int>, in bytes: Span<UInt8>) {
        var end = target.lowerBound
        while end < target.upperBound, bytes[end] != UInt8(ascii: "?") { end &+= 1 }
        path = target.lowerBound..<end
        query = end < target.upperBound ? end + 1..<target.upperBound : nil
    }
}

/// A request with the bytes that its parts lie in, for as long as they are lent.
public struct RequestView: ~Escapable {
    public let parts: RequestParts
    public let bytes: Span<UInt8>

    @_lifetime(copy bytes)
    public init(_ parts: consuming RequestParts, in bytes: Span<UInt8>) {
        self.parts = parts
        self.bytes = bytes
    }

    /// Where what is asked doesn't depend on a request.
    @_lifetime(immortal)
    static func none() -> RequestView { RequestView(RequestParts(), in: Span()) }

    public var method: Span<UInt8> { @_lifetime(copy self) get { bytes.extracting(parts.method) } }
    public var authority: Span<UInt8> { @_lifetime(copy self) get { bytes.extracting(parts.authority) } }
    public var path: Span<UInt8> { @_lifetime(copy self) get { bytes.extracting(parts.path) } }
    /// Empty where there is none.
    public var query: Span<UInt8> { @_lifetime(copy self) get { bytes.extracting(parts.query ?? 0..<0) } }
    public var clientAddress: Span<UInt8> { @_lifetime(copy self) get { bytes.extracting(parts.clientAddress) } }

    /// The value of the `index`th field of a name, which is in lower case; nil behind the last.
    @_lifetime(copy self)
    func header(_ name: Span<UInt8>, at index: Int) -> Span<UInt8>? {
        var count = 0
        for header in parts.headers where bytes.extracting(header.name).equals(name) {
            if count == index { return bytes.extracting(header.value) }
            count += 1
        }
        return nil
    }
}

/// A request that holds its own bytes: made in a test or a tool, or kept while something is waited for.
public struct Request: Sendable {
    public let bytes: [UInt8]
    public let parts: RequestParts

    /// - Parameters:
    ///   - target: path and perhaps query.
    ///   - headers: their names in any case.
    public init(
        method: String = "GET", host: String = "localhost", target: String = "/", headers: [(name: String, value: String)] = [],
        clientAddress: String = "", certificate: ClientCertificate? = nil
    ) {
        var bytes: [UInt8] = []
        func append(_ text: String) -> Range<Int> { Self.append(text, to: &bytes) }
        var parts = RequestParts()
        parts.method = append(method)
        parts.authority = append(host)
        parts.setTarget(append(target), in: bytes.span)
        parts.clientAddress = append(clientAddress)
        for header in headers {
            parts.headers.append(RequestParts.Header(name: append(header.name.lowercased()), value: append(header.value)))
        }
        if let certificate {
            let start = bytes.count
            bytes += certificate.fingerprint
            let end = bytes.count
            let names = certificate.names.map { CertificateParts.Name($0.kind, append($0.text)) }
            parts.certificate = CertificateParts(fingerprint: start..<end, subject: append(certificate.subject), names: names)
        }
        self.bytes = bytes
        self.parts = parts
    }

    /// Copies what was lent.
    public init(copying view: borrowing RequestView) {
        parts = view.parts
        bytes = view.bytes.array
    }

    /// With one more field.
    func adding(header name: String, _ value: String) -> Request {
        var (bytes, parts) = (bytes, parts)
        let header = Self.append("\(name)\(value)", to: &bytes)
        let end = header.lowerBound + name.utf8.count
        parts.headers.append(RequestParts.Header(name: header.lowerBound..<end, value: end..<header.upperBound))
        return Request(bytes, parts)
    }

    /// With one more parameter at the end of its query.
    func adding(parameter name: String, _ value: String) -> Request {
        var (bytes, parts) = (bytes, parts)
        let start = bytes.count
        if let query = parts.query, !query.isEmpty { bytes += Array(bytes[query]) + [UInt8(ascii: "&")] }
        parts.query = start..<Self.append("\(name)=\(value)", to: &bytes).upperBound
        return Request(bytes, parts)
    }

    /// With a credential where one is looked for.
    public func carrying(_ credential: String, at source: CredentialSource) -> Request {
        switch source {
        case .header(let name, let scheme): adding(header: name, scheme.map { "\($0) \(credential)" } ?? credential)
        case .cookie(let name): adding(header: "cookie", "\(name)=\(credential)")
        case .query(let name): adding(parameter: name, credential)
        }
    }

    private init(_ bytes: [UInt8], _ parts: RequestParts) {
        self.bytes = bytes
        self.parts = parts
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) -> Range<Int> {
        let start = bytes.count
        bytes += Array(text.utf8)
        return start..<bytes.count
    }

    public var view: RequestView {
        @_lifetime(borrow self) get { RequestView(parts, in: bytes.span) }
    }
}
