import Bytes
import HTTPMessage
import Policy
import PolicyProtocol

/// A request put together from what a foreign proxy says of it, and held to the rules that our own proxy holds clients to: what
/// two readers could understand in two ways isn't judged at all.
///
/// One a session, filled anew for each request: ``begin()``, then method, authority, target (in this order); the rest anywhere between them.
final class RequestDraft {
    /// Where the ranges of ``parts`` lie.
    let buffer = ByteBuffer(capacity: 1024)
    private(set) var parts = RequestParts()
    private var method = Method.other
    /// One that has been judged: a proxy's requests name few hosts.
    private var lastAuthority: [UInt8] = []
    private let wantedHeaders: [[UInt8]]
    /// A bit for the length of each of these names, the last one for all from 63 on: most headers are told from them by that.
    private let wantedLengths: UInt64
    private let limits = HeadLimits()

    /// - Parameter wantedHeaders: the headers that are taken in, in lower case.
    init(wantedHeaders: [String]) {
        self.wantedHeaders = wantedHeaders.map { Array($0.utf8) }
        wantedLengths = wantedHeaders.reduce(0) { $0 | Self.bit(ofLength: $1.utf8.count) }
    }

    private static func bit(ofLength byteCount: Int) -> UInt64 { 1 << UInt64(min(byteCount, 63)) }

    func begin() {
        buffer.clear()
        // Taken out and put back, here and below: so what every request touches needs no check at run time for being touched twice.
        var headers = exchange(&parts.headers, with: [])
        headers.removeAll(keepingCapacity: true)
        parts = RequestParts()
        parts.headers = headers
    }

    func setMethod(_ name: Span<UInt8>) throws(MessageRefusal) {
        method = Method.of(name)
        guard method != .other || FieldRules.isToken(name) && name.count <= ProtocolLimits.methodBytes else {
            throw MessageRefusal("The method is no token of 1 to \(ProtocolLimits.methodBytes) bytes.")
        }
        parts.method = append(name)
    }

    /// - Parameter authority: host and perhaps port; empty where the request names none.
    func setAuthority(_ authority: Span<UInt8>) throws(MessageRefusal) {
        let last = lastAuthority
        if !authority.equals(last.span) {
            guard authority.count == 0 || Authority.isValid(authority), authority.count <= ProtocolLimits.authorityBytes else {
                throw MessageRefusal("The Host is no host name or address with or without a port.")
            }
            lastAuthority = authority.array
        }
        parts.authority = append(authority)
    }

    /// Takes in the target as the client sent it, in its normal form.
    func setTarget(_ target: Span<UInt8>) throws(MessageRefusal) {
        guard target.count > 0 else { throw MessageRefusal("There is no request target.") }
        // The line it stood in has two blanks and the version besides.
        guard parts.method.count + target.count + 10 <= limits.requestLineBytes else {
            throw MessageRefusal(414, "The request line is longer than \(limits.requestLineBytes) bytes.")
        }
        let (blank, delete) = (SIMD16(repeating: UInt8(0x20)), SIMD16(repeating: UInt8(0x7F)))
        guard target.firstIndex(where: { ($0 .<= blank) .| ($0 .== delete) }) == nil else {
            throw MessageRefusal("There is a character in the request target that none may have.")
        }
        let normal = try RequestTarget.normalize(
            ByteRange(append(target)), method: method, host: ByteRange(parts.authority), in: buffer)
        guard !normal.hasEncodedSlash else { throw MessageRefusal("There is an escaped slash in the path.") }
        parts.path = normal.path.start..<normal.path.end
        parts.query = normal.query.map { $0.start..<$0.end }
    }

    /// - Parameter address: an IP address as text, or nginx's `unix:` where the client came by a Unix socket.
    func setClientAddress(_ address: Span<UInt8>) throws(MessageRefusal) {
        guard !address.equals("unix:") else { return }
        guard IPAddress(address) != nil else { throw MessageRefusal("The client's address is no IP address.") }
        parts.clientAddress = append(address)
    }

    /// Takes in a header of the request, where the policy wants to see it.
    ///
    /// - Parameter name: in any case.
    func addHeader(_ name: Span<UInt8>, _ value: Span<UInt8>) throws(MessageRefusal) {
        guard wantedLengths & Self.bit(ofLength: name.count) != 0 else { return }
        for wanted in wantedHeaders where name.equalsIgnoringCase(wanted.span) {
            guard parts.headers.count < ProtocolLimits.headersPerCheck else {
                throw MessageRefusal(431, "There are more than \(ProtocolLimits.headersPerCheck) header fields to judge by.")
            }
            guard FieldRules.isHeaderValue(value) else { throw MessageRefusal("There is a control character in a header value.") }
            var headers = exchange(&parts.headers, with: [])
            headers.append(RequestParts.Header(name: append(wanted.span), value: append(value)))
            parts.headers = headers
            return
        }
    }

    /// Takes in an IP address given as its bytes, 4 or 16.
    func setClientAddress(binary address: Span<UInt8>) {
        let start = buffer.count
        buffer.append(address: address)
        parts.clientAddress = start..<buffer.count
    }

    private func append(_ bytes: Span<UInt8>) -> Range<Int> {
        let start = buffer.count
        buffer.append(bytes)
        return start..<buffer.count
    }
}
