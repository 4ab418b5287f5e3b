import PolicyProtocol
import Testing

@testable import Policy

/// The list of names that no verdict may touch stands on both sides of the wire.
@Test func `a header's name is one that the protocol lets a verdict set`() {
    var names = ["x", "te", "t-e", "host", "upgrade", "trailer", "proxy-x", "proxy", "keep-alive", "keepalive"]
    names += ["connection", "content-length", "content-type", "expect", "http2-settings", "transfer-encoding", "via"]
    for name in names.flatMap({ [$0, $0.replacing("-", with: "_"), $0.replacing("-", with: "."), $0 + "s"] }) {
        let bytes = Array(name.utf8)
        let isAllowed = FieldRules.isHeaderName(bytes.span) && FieldRules.mayBeOperatedOn(bytes.span)
        #expect((mistake { try HeaderName(name) } == nil) == isAllowed, "\(name)")
    }
}
