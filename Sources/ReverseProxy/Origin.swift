import Bytes
import HTTPMessage
import PolicyProtocol

/// Whom a request comes from, where the peer is a trusted proxy: what it says of that, as far as it can be believed.
///
/// The list that it sends is walked from its end, where it and other trusted proxies put down whom they heard the request from.
/// The first that is not trusted is the client: what stands before it is the client's own word, not believed and not passed on.
final class Origin {
    /// Whether the peer is a trusted proxy. The rest means nothing where it is not.
    private(set) var isTold = false
    /// The client's address; nil where it is the peer's own.
    private(set) var client: IPAddress?
    /// The client's address as text, as the policy daemon is told; empty with ``client``.
    private(set) var address: [UInt8] = []
    /// Client and trusted proxies up to the peer, which is not among them, for `X-Forwarded-For`.
    let chain = ByteBuffer(capacity: 64)
    /// Nil where the proxy doesn't say.
    private(set) var scheme: RequestScheme?
    /// In the request's head; empty where the proxy doesn't say.
    private(set) var host = ByteRange.empty

    private var elements: [ForwardedElement] = []
    private let text = ByteBuffer(capacity: 64)

    func clear() {
        guard isTold else { return }
        isTold = false
        client = nil
        address = []
        chain.clear()
        scheme = nil
        host = .empty
    }

    /// Reads what a trusted proxy says.
    ///
    /// - Throws: 400 where what would have to be believed is malformed. To take the proxy itself for the client instead would
    ///   count all its clients as one.
    func read(_ fields: [FieldLine], _ bytes: Span<UInt8>, _ trusted: TrustedProxies) throws(MessageRefusal) {
        clear()
        isTold = true
        do throws(MessageRefusal) {
            try readAll(fields, bytes, trusted)
        } catch {
            clear()
            throw error
        }
    }

    private func readAll(_ fields: [FieldLine], _ bytes: Span<UInt8>, _ trusted: TrustedProxies) throws(MessageRefusal) {
        elements.removeAll(keepingCapacity: true)
        switch trusted.header {
        case .xForwardedFor:
            for field in fields where field.isNamed("x-forwarded-for", bytes) {
                guard ForwardedList.read(addresses: field.value, of: bytes, into: &elements) else { throw Self.malformed("X-Forwarded-For") }
            }
            _ = try walk(bytes, trusted)
            if trusted.tellScheme { try read(scheme: Self.only("x-forwarded-proto", "X-Forwarded-Proto", fields, bytes), bytes) }
            if trusted.tellHost { try read(host: Self.only("x-forwarded-host", "X-Forwarded-Host", fields, bytes), bytes) }
        case .forwarded:
            for field in fields where field.isNamed("forwarded", bytes) {
                guard ForwardedList.read(forwarded: field.value, of: bytes, into: &elements) else { throw Self.malformed("Forwarded") }
            }
            guard let element = try walk(bytes, trusted) else { return }
            try read(scheme: element.scheme, bytes)
            try read(host: element.host, bytes)
        }
    }

    /// Finds the client.
    ///
    /// - Returns: what the outermost trusted proxy says; nil where none says anything.
    private func walk(_ bytes: Span<UInt8>, _ trusted: TrustedProxies) throws(MessageRefusal) -> ForwardedElement? {
        let isForwarded = trusted.header == .forwarded
        var first = elements.count
        var outermost: ForwardedElement?
        walking: while first > 0 {
            let element = elements[first - 1]
            outermost = element
            let node: ForwardedElement.Node?
            // An element of Forwarded need not say for whom it is.
            if isForwarded, element.node.isEmpty { node = .hidden } else {
                node = ForwardedElement.node(element.node.bytes(in: bytes), isForwarded: isForwarded)
            }
            switch node {
            case nil: throw Self.malformed(isForwarded ? "Forwarded" : "X-Forwarded-For")
            // Who hides there is known no better than by the proxy that says so.
            case .hidden?: break walking
            case .address(let address)?:
                first -= 1
                client = address
                if !trusted.contains(address) { break walking }
            }
        }
        for element in elements[first...] {
            guard case .address(let address)? = ForwardedElement.node(element.node.bytes(in: bytes), isForwarded: isForwarded) else { continue }
            if !chain.isEmpty { chain.append(", ") }
            chain.append(address)
        }
        if let client {
            let text = self.text
            text.clear()
            text.append(client)
            address = text.bytes.array
        }
        return outermost
    }

    private func read(scheme value: ByteRange, _ bytes: Span<UInt8>) throws(MessageRefusal) {
        guard !value.isEmpty else { return }
        let text = value.bytes(in: bytes)
        guard text.equalsIgnoringCase("http") || text.equalsIgnoringCase("https") else { throw Self.malformed("forwarded scheme") }
        scheme = text.count == 5 ? .https : .http
    }

    private func read(host value: ByteRange, _ bytes: Span<UInt8>) throws(MessageRefusal) {
        guard !value.isEmpty else { return }
        guard Authority.isValid(value.bytes(in: bytes)) else { throw Self.malformed("forwarded host") }
        host = value
    }

    /// The one value of a field; empty where it is missing. Of several, nobody knows whose each is.
    private static func only(
        _ name: StaticString, _ shown: String, _ fields: [FieldLine], _ bytes: Span<UInt8>
    ) throws(MessageRefusal) -> ByteRange {
        var found = ByteRange.empty
        for field in fields where field.isNamed(name, bytes) {
            guard found.isEmpty else { throw malformed(shown) }
            found = field.value
        }
        return found
    }

    private static func malformed(_ what: String) -> MessageRefusal {
        MessageRefusal("The \(what) that a proxy has set is malformed.")
    }
}

extension FieldLine {
    /// - Parameter name: in lower case; one of those that are classified as forwarding fields.
    fileprivate func isNamed(_ name: StaticString, _ bytes: Span<UInt8>) -> Bool {
        kind == .forwarded && self.name.bytes(in: bytes).equalsIgnoringCase(name)
    }
}
