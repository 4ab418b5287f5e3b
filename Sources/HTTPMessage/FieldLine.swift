import Bytes

/// One field line of a head or of trailers (RFC 9112 §5), as ranges of the message's bytes.
public struct FieldLine: Sendable, Equatable {
    public let name: ByteRange
    /// Without the blanks around it.
    public let value: ByteRange
    /// The whole line, its CRLF included: what is forwarded where the field is.
    public let line: ByteRange
    public let kind: FieldKind
}

/// What the proxy must know of a field by its name.
public enum FieldKind: UInt8, Sendable {
    /// Any field that is passed on as it is, unless a verdict or `Connection` names it.
    case other
    case host
    case contentLength
    case transferEncoding
    case connection
    /// A field that concerns one connection only (RFC 9110 §7.6.1), or one that a backend may take for a framing field
    /// because it folds `_` or `.` into `-` (`content_length`): never passed on.
    case hopByHop
    case expect
    /// What a proxy says of the request before it: `X-Forwarded-…`, of which the proxy writes anew what it knows, `Forwarded` (RFC 7239),
    /// and the names under which some backends look for a client's address or another target than the request's own.
    case forwarded
    case via
    case date
    /// A field that no trailer section may bring (RFC 9110 §6.5.1), though a head may.
    case headOnly

    /// - Parameter name: in any case.
    public static func of(_ name: Span<UInt8>) -> FieldKind {
        let kind = ofPlain(name)
        guard kind == .other, name.mayBeFolded else { return kind }
        var dashed: [UInt8] = []
        for index in name.indices {
            dashed.append(name[index].foldedInHeaderName)
        }
        switch ofPlain(dashed.span) {
        case .other, .date, .headOnly: return .other
        default: return .hopByHop
        }
    }

    /// Of what the name is as it stands.
    ///
    /// - Parameter name: in any case. One with a byte that a backend may read as `-` is for ``of(_:)``.
    static func ofPlain(_ name: Span<UInt8>) -> FieldKind {
        // Most names are told from all of ours by their length and first letter.
        if name.count > 12, name.extracting(0..<12).equalsIgnoringCase("x-forwarded-") { return .forwarded }
        switch name.count {
        case 2: if name.equalsIgnoringCase("te") { return .hopByHop }
        case 3: if name.equalsIgnoringCase("via") { return .via }
        case 4:
            if name.equalsIgnoringCase("host") { return .host }
            if name.equalsIgnoringCase("date") { return .date }
        case 6:
            if name.equalsIgnoringCase("expect") { return .expect }
            if name.equalsIgnoringCase("cookie") { return .headOnly }
        case 7: if name.equalsIgnoringCase("upgrade") { return .hopByHop }
        case 9: if name.equalsIgnoringCase("forwarded") || name.equalsIgnoringCase("x-real-ip") { return .forwarded }
        case 10:
            if name.equalsIgnoringCase("connection") { return .connection }
            if name.equalsIgnoringCase("keep-alive") { return .hopByHop }
            if name.equalsIgnoringCase("set-cookie") { return .headOnly }
        case 11: if name.equalsIgnoringCase("x-client-ip") { return .forwarded }
        case 12: if name.equalsIgnoringCase("content-type") { return .headOnly }
        case 13:
            if name.equalsIgnoringCase("x-rewrite-url") { return .forwarded }
            if name.equalsIgnoringCase("authorization") || name.equalsIgnoringCase("content-range") { return .headOnly }
        case 14:
            if name.equalsIgnoringCase("content-length") { return .contentLength }
            if name.equalsIgnoringCase("http2-settings") { return .hopByHop }
            if name.equalsIgnoringCase("true-client-ip") || name.equalsIgnoringCase("x-original-url") { return .forwarded }
        case 16:
            if name.equalsIgnoringCase("content-encoding") { return .headOnly }
            if name.equalsIgnoringCase("proxy-connection") { return .hopByHop }
        case 17:
            if name.equalsIgnoringCase("transfer-encoding") { return .transferEncoding }
        case 18: if name.equalsIgnoringCase("proxy-authenticate") { return .hopByHop }
        case 19: if name.equalsIgnoringCase("proxy-authorization") { return .hopByHop }
        default: break
        }
        return .other
    }
}

extension Span where Element == UInt8 {
    /// Whether a backend may take this name for another: it has a byte that may be read as `-`.
    public var mayBeFolded: Bool {
        let (underscore, dot) = (SIMD16(repeating: UInt8(ascii: "_")), SIMD16(repeating: UInt8(ascii: ".")))
        return firstIndex { ($0 .== underscore) .| ($0 .== dot) } != nil
    }

    /// Whether these bytes are `name`, letters in any case and with `_` or `.` for `-`: whether a backend may take one name for
    /// the other. `name` is in lower case.
    @inlinable @inline(__always)
    public func mayBeTaken(for name: Span<UInt8>) -> Bool {
        // Most names differ in their first letter from others of their length.
        guard count == name.count, count == 0 || (self[0] ^ name[0]) & ~0x20 == 0 || name[0].foldedInHeaderName == UInt8(ascii: "-")
        else { return false }
        return isFolded(as: name)
    }

    @usableFromInline
    func isFolded(as name: Span<UInt8>) -> Bool {
        let (caseBit, a, letters) = (SIMD16<UInt8>(repeating: 0x20), SIMD16<UInt8>(repeating: 0x61), SIMD16<UInt8>(repeating: 26))
        return matches(name) { one, other in
            let areCapitals = (one ^ other .== caseBit) .& (other &- a .< letters)
            return (one .== other) .| areCapitals .| (one.areFoldable .& other.areFoldable)
        }
    }
}

extension SIMD16<UInt8> {
    /// Which of them are `-`, or read as it by a backend.
    fileprivate var areFoldable: SIMDMask<SIMD16<Int8>> {
        let (hyphen, underscore, dot) = (Self(repeating: UInt8(ascii: "-")), Self(repeating: UInt8(ascii: "_")), Self(repeating: UInt8(ascii: ".")))
        return (self .== hyphen) .| (self .== underscore) .| (self .== dot)
    }
}
