import JSONWebToken

/// The answer to one fetch, as far as it is looked at.
struct FetchedAnswer: Sendable {
    /// How long a body may be.
    static let maximumBytes = KeySet.maximumBytes
    /// How long all header fields may be, those of interim answers included.
    static let maximumHeaderBytes = 65_536

    let status: Int
    let body: [UInt8]
    let freshness: Freshness

    /// - Parameter header: status lines and fields as they came; the last answer's count.
    init(status: Int, header: [UInt8], body: [UInt8]) {
        self.status = status
        self.body = body
        var cacheControl: [String] = []
        var age: String?
        for line in String(decoding: header, as: UTF8.self).split(whereSeparator: \.isNewline) {
            if line.hasPrefix("HTTP/") {
                cacheControl = []
                age = nil
            }
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...]).withoutSurroundingBlanks
            switch line[..<colon].lowercased() {
            case "cache-control": cacheControl.append(value)
            case "age": age = age ?? value
            default: continue
            }
        }
        freshness = Freshness(cacheControl: cacheControl.isEmpty ? nil : cacheControl.joined(separator: ","), age: age)
    }
}
