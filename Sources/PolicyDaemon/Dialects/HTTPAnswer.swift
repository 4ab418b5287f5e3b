import Bytes
import HTTPMessage
import PolicyProtocol

/// Writes verdicts as the answers that the HTTP dialect's proxies understand.
///
/// An allow is a 200 whose headers are, under their own names: each header that the policy owns, empty where it has no value; each
/// other header that the request is to have, empty where it is to have none; the headers for the response to the client. Beside them
/// `x-gatehouse-reason`, `-subject` and, where the query is to be replaced, `-query`. Where a name is meant for both messages,
/// the request has it. Envoy is told by `x-envoy-auth-headers-to-remove` what the request is to have no more.
///
/// A denial goes out as it is, but to nginx, which passes on 401 and 403 alone and never a body: any status but 401 becomes 403,
/// and the true status and the body travel as `x-gatehouse-status` and `x-gatehouse-body`.
struct HTTPAnswer {
    /// What nginx can be given of a body: all of an answer's headers must fit into its `proxy_buffer_size`.
    static let bodyBytesInHeader = 8_192

    private let ownedHeaders: [[UInt8]]

    init(ownedHeaders: [String]) { self.ownedHeaders = ownedHeaders.map { Array($0.utf8) } }

    /// - Parameters:
    ///   - payload: that of a VERDICT, which says `message`.
    ///   - isHead: whether the question was a HEAD, the answer to which has no body whatever its length says.
    ///   - closes: whether the connection is closed behind the answer.
    func write(
        _ payload: Span<UInt8>, _ message: VerdictMessage, for endpoint: HTTPEndpoint, isHead: Bool, closes: Bool,
        to output: ByteBuffer
    ) {
        if message.decision == .allow {
            writeAllow(payload, message, endpoint, output)
        } else {
            writeDenial(payload, message, endpoint, output)
        }
        if closes { output.append("connection: close\r\n") }
        output.append("\r\n")
        if message.decision == .deny, endpoint != .nginx, !isHead { output.append(message.body.bytes(in: payload)) }
    }

    /// - Returns: false, and nothing is written, where this has to be written as any other verdict.
    func write(_ allow: RepeatedAllow, for endpoint: HTTPEndpoint, closes: Bool, to output: ByteBuffer) -> Bool {
        let words = allow.words(endpoint.language) { payload, message, text in
            writeAllow(payload, message, endpoint, text)
            return text.count
        }
        guard let words else { return false }
        output.append(words.text)
        var limits = Limits(output: output)
        allow.writeStandings(to: &limits)
        output.append(closes ? "connection: close\r\n\r\n" : "\r\n")
        return true
    }

    private struct Limits: LimitFieldWriter {
        let output: ByteBuffer

        func set(_ header: LimitHeader, byteCount: Int, _ append: (ByteBuffer) -> Void) {
            output.append(header.name)
            output.append(": ")
            append(output)
            output.append("\r\n")
        }
    }

    private func writeAllow(_ payload: Span<UInt8>, _ message: VerdictMessage, _ endpoint: HTTPEndpoint, _ output: ByteBuffer) {
        let (request, response) = (FinalHeaders(.request, of: payload), FinalHeaders(.response, of: payload))
        output.append("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n")
        for name in ownedHeaders where request.index(of: name.span, in: payload) == nil && endpoint != .envoy {
            output.append(field: name.span)
        }
        for operation in request.operations {
            if let value = operation.newValue {
                output.append(field: operation.name.bytes(in: payload), value.bytes(in: payload))
            } else if endpoint != .envoy {
                output.append(field: operation.name.bytes(in: payload))
            }
        }
        if endpoint == .envoy { writeRemovals(request, payload, output) }
        for operation in response.operations {
            let name = operation.name.bytes(in: payload)
            guard let value = operation.newValue, request.index(of: name, in: payload) == nil, !owns(name) else { continue }
            output.append(field: name, value.bytes(in: payload))
        }
        if let query = message.query { output.append(field: "x-gatehouse-query", query.bytes(in: payload)) }
        writeReason(payload, message, output)
    }

    private func writeRemovals(_ request: FinalHeaders, _ payload: Span<UInt8>, _ output: ByteBuffer) {
        var count = 0
        func write(_ name: Span<UInt8>) {
            output.append(count == 0 ? "x-envoy-auth-headers-to-remove: " : ", ")
            output.append(name)
            count += 1
        }
        for name in ownedHeaders where request.index(of: name.span, in: payload) == nil { write(name.span) }
        for operation in request.operations where operation.kind == .remove { write(operation.name.bytes(in: payload)) }
        if count > 0 { output.append("\r\n") }
    }

    private func writeDenial(_ payload: Span<UInt8>, _ message: VerdictMessage, _ endpoint: HTTPEndpoint, _ output: ByteBuffer) {
        // A denial has a status, else it would not have been read.
        let status = message.status ?? 500
        let statusTold = endpoint == .nginx && status != 401 ? 403 : status
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(statusTold))
        output.append(" ")
        output.append(StatusCode.phrase(statusTold))
        output.append("\r\ncontent-length: ")
        output.append(decimal: endpoint == .nginx ? 0 : message.body.count)
        output.append("\r\n")
        for operation in FinalHeaders(.response, of: payload).operations {
            guard let value = operation.newValue else { continue }
            output.append(field: operation.name.bytes(in: payload), value.bytes(in: payload))
        }
        guard endpoint == .nginx else { return }
        output.append("x-gatehouse-status: ")
        output.append(decimal: Int(status))
        output.append("\r\n")
        let body = message.body.bytes(in: payload)
        if body.count > 0, body.count <= Self.bodyBytesInHeader { output.append(body: body) }
        writeReason(payload, message, output)
    }

    private func writeReason(_ payload: Span<UInt8>, _ message: VerdictMessage, _ output: ByteBuffer) {
        output.append(field: "x-gatehouse-reason", message.reason.bytes(in: payload))
        if let subject = message.subject?.bytes(in: payload), FieldRules.isHeaderValue(subject) {
            output.append(field: "x-gatehouse-subject", subject)
        }
    }

    private func owns(_ name: Span<UInt8>) -> Bool {
        for owned in ownedHeaders where owned.span.equals(name) { return true }
        return false
    }
}

extension ByteBuffer {
    fileprivate func append(field name: Span<UInt8>, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    fileprivate func append(field name: Span<UInt8>) {
        append(name)
        append(": \r\n")
    }

    fileprivate func append(field name: StaticString, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    /// Every control byte becomes a blank: JSON has none but between its tokens, and stays what it was.
    fileprivate func append(body: Span<UInt8>) {
        append("x-gatehouse-body: ")
        append(mapping: body) { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
        append("\r\n")
    }
}
