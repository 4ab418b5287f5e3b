import Bytes
import HTTPMessage

/// The URLs of the HTTP dialect: each takes the request to judge from other places, and answers as the proxies that use it need it.
///
/// | URL | asked by | the request to judge |
/// | --- | --- | --- |
/// | `/nginx` | nginx `auth_request` | `X-Original-Method`, `-URI`, `-Host`, `-Address` |
/// | `/forward` | Traefik `forwardAuth`, Caddy `forward_auth` | `X-Forwarded-Method`, `-Uri`, `-Host`, `-For` |
/// | `/envoy` + path | Envoy `ext_authz` over HTTP | its own method, path and host; `X-Original-Address` |
///
/// Each of these headers is there exactly once, else the request is denied: a proxy that forgot one would leave its value to its
/// client. All other headers are the client's own.
enum HTTPEndpoint: Sendable {
    case nginx
    case forward
    case envoy

    /// What its answers are written in.
    var language: RepeatedAllow.Language {
        switch self {
        case .nginx: .nginx
        case .forward: .forward
        case .envoy: .envoy
        }
    }

    private static let envoyPrefix = 6   // bytes of "/envoy"

    /// - Parameter target: the request target as received.
    static func of(_ target: Span<UInt8>) -> HTTPEndpoint? {
        var end = 0
        while end < target.count, target[end] != UInt8(ascii: "?") { end &+= 1 }
        let path = target.extracting(0..<end)
        if path.equals("/nginx") { return .nginx }
        if path.equals("/forward") { return .forward }
        guard path.count > envoyPrefix, path.extracting(0..<envoyPrefix).equals("/envoy") else { return nil }
        return path[envoyPrefix] == UInt8(ascii: "/") || path[envoyPrefix] == UInt8(ascii: "*") ? .envoy : nil
    }

    /// Fills `draft` with the request to judge.
    ///
    /// - Throws: where a header is missing, repeated, or not what its name says.
    func read(_ head: RequestHead, _ bytes: Span<UInt8>, into draft: RequestDraft) throws(MessageRefusal) {
        draft.begin()
        let fields = try OriginalFields(head.fields, bytes, names)
        if self == .envoy {
            let target = head.target.bytes(in: bytes)
            try draft.setMethod(head.methodName.bytes(in: bytes))
            try draft.setAuthority(head.host.bytes(in: bytes))
            try draft.setTarget(target.extracting(Self.envoyPrefix..<target.count))
        } else {
            try draft.setMethod(fields.value(.method, bytes))
            try draft.setAuthority(fields.value(.host, bytes))
            try draft.setTarget(fields.value(.target, bytes))
        }
        try draft.setClientAddress(lastElement(fields.value(.address, bytes)))
        for field in head.fields { try draft.addHeader(field.name.bytes(in: bytes), field.value.bytes(in: bytes)) }
    }

    private var names: OriginalFields.Names {
        switch self {
        case .nginx: OriginalFields.nginx
        case .forward: OriginalFields.forward
        case .envoy: OriginalFields.envoy
        }
    }

    /// The last of a comma-separated list: the one that the asking proxy added itself. Those before it came from whoever it was
    /// asked by, and an unguarded proxy passes on what a client makes up.
    @_lifetime(copy list)
    private func lastElement(_ list: Span<UInt8>) -> Span<UInt8> {
        var start = list.count
        while start > 0, list[start &- 1] != UInt8(ascii: ","), list[start &- 1] != UInt8(ascii: " ") { start &-= 1 }
        return list.extracting(start..<list.count)
    }
}

/// The headers in which a proxy hands the request over.
private struct OriginalFields {
    enum Part: Int { case method, target, host, address }

    /// By ``Part``; empty where the part is found elsewhere.
    typealias Names = InlineArray<4, StaticString>

    static let nginx: Names = ["x-original-method", "x-original-uri", "x-original-host", "x-original-address"]
    static let forward: Names = ["x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-for"]
    static let envoy: Names = ["", "", "", "x-original-address"]

    private let names: Names
    private var values = InlineArray<4, ByteRange?>(repeating: nil)

    init(_ fields: [FieldLine], _ bytes: Span<UInt8>, _ names: Names) throws(MessageRefusal) {
        self.names = names
        let wanted = names.span
        for field in fields {
            let name = field.name.bytes(in: bytes)
            guard name.count > 2, name[1] == UInt8(ascii: "-"), name[0] | 0x20 == UInt8(ascii: "x") else { continue }
            for index in wanted.indices where name.equalsIgnoringCase(wanted[index]) {
                guard values[index] == nil else { throw MessageRefusal("There is more than one \(wanted[index]) from the asking proxy.") }
                values[index] = field.value
            }
        }
    }

    @_lifetime(copy bytes)
    func value(_ part: Part, _ bytes: Span<UInt8>) throws(MessageRefusal) -> Span<UInt8> {
        guard let range = values[part.rawValue], !range.isEmpty else {
            throw MessageRefusal("There is no \(names[part.rawValue]) from the asking proxy.")
        }
        return range.bytes(in: bytes)
    }
}
