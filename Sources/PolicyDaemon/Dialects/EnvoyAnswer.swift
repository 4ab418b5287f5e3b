import Bytes
import EnvoyProtocol
import HTTPMessage
import Policy
import PolicyProtocol

/// Writes verdicts as Envoy's `CheckResponse`.
///
/// The headers that the policy owns are set or taken out by every allow, in any spelling that the request has of them. What Envoy has
/// no words for becomes a denial, but for one: a header can't be taken out of the upstream's answer.
struct EnvoyAnswer {
    private let ownedHeaders: [[UInt8]]

    init(ownedHeaders: [String]) { self.ownedHeaders = ownedHeaders.map { Array($0.utf8) } }

    /// - Parameter call: the Check that the verdict is on.
    func write(_ payload: Span<UInt8>, _ message: VerdictMessage, on call: GRPCCall, to output: ByteBuffer) {
        let start = output.count
        let isWritten = message.decision == .allow ? allow(payload, message, call, to: output) : deny(payload, message, to: output)
        guard !isWritten else { return }
        output.truncate(to: start)
        Self.denyUnfit(to: output)
    }

    /// - Parameter call: one without names that a backend may fold into others.
    /// - Returns: false where this has to be written as any other verdict.
    func write(_ allow: RepeatedAllow, on call: GRPCCall, to output: ByteBuffer) -> Bool {
        let words = allow.words(.grpc) { payload, message, text in
            var fields = CheckResponseWriter.Fields(to: text)
            changeRequest(payload, call, &fields)
            changeResponse(payload, &fields)
            let limitsOffset = text.count
            CheckResponseWriter.write(metadata: Self.metadata(payload, message), to: text)
            return fields.hasUnfitValue ? nil : limitsOffset
        }
        guard let words else { return false }
        let text = words.text.span
        var writer = CheckResponseWriter(.ok, to: output)
        writer.allowed { fields in
            fields.append(written: text.extracting(0..<words.limitsOffset))
            var limits = Limits(fields: fields)
            allow.writeStandings(to: &limits)
        }
        output.append(text.extracting(words.limitsOffset..<text.count))
        return true
    }

    private struct Limits: LimitFieldWriter {
        let fields: CheckResponseWriter.Fields

        func set(_ header: LimitHeader, byteCount: Int, _ append: (ByteBuffer) -> Void) {
            fields.setResponseHeader(header.name.span, byteCount: byteCount, append)
        }
    }

    private func changeResponse(_ payload: Span<UInt8>, _ fields: inout CheckResponseWriter.Fields) {
        for operation in FinalHeaders(.response, of: payload).operations where operation.kind == .set {
            fields.setResponseHeader(operation.name.bytes(in: payload), operation.value.bytes(in: payload))
        }
    }

    private func deny(_ payload: Span<UInt8>, _ message: VerdictMessage, to output: ByteBuffer) -> Bool {
        let status = message.status ?? 500
        var writer = CheckResponseWriter(Self.code(for: status), to: output)
        let operations = FinalHeaders(.response, of: payload).operations
        writer.denied(status: status, body: message.body.bytes(in: payload)) { fields in
            for operation in operations where operation.kind == .set {
                fields.setHeader(operation.name.bytes(in: payload), operation.value.bytes(in: payload))
            }
        }
        writer.metadata(Self.metadata(payload, message))
        return !writer.hasUnfitValue
    }

    private func allow(_ payload: Span<UInt8>, _ message: VerdictMessage, _ call: GRPCCall, to output: ByteBuffer) -> Bool {
        let content = call.content
        let old = content.bytes.extracting(call.query ?? 0..<0)
        // Without one the query stays as it is.
        let (query, changed) = message.query.map { ($0.bytes(in: payload).array, true) } ?? ([], false)
        let newQuery = query.span
        guard let change = changed ? QueryChange(from: old, to: newQuery) : QueryChange.none else { return false }
        var writer = CheckResponseWriter(.ok, to: output)
        writer.allowed { fields in
            changeRequest(payload, call, &fields)
            changeResponse(payload, &fields)
            for parameter in change.replaced {
                fields.setQueryParameter(newQuery.extracting(parameter.name), newQuery.extracting(parameter.value))
            }
            for name in change.removed { fields.removeQueryParameter(old.extracting(name)) }
        }
        writer.metadata(Self.metadata(payload, message))
        return !writer.hasUnfitValue
    }

    private func changeRequest(_ payload: Span<UInt8>, _ call: GRPCCall, _ fields: inout CheckResponseWriter.Fields) {
        let request = FinalHeaders(.request, of: payload)
        for operation in request.operations {
            let name = operation.name.bytes(in: payload)
            if operation.kind == .set { fields.setHeader(name, operation.value.bytes(in: payload)) } else { fields.removeHeader(name) }
        }
        for name in ownedHeaders where request.index(of: name.span, in: payload) == nil { fields.removeHeader(name.span) }
        let buffer = call.content
        let content = buffer.bytes
        for range in call.foldableNames {
            let name = content.extracting(range)
            let isTouched = ownedHeaders.contains { name.mayBeTaken(for: $0.span) && !name.equals($0.span) }
                || request.operations.contains { name.mayBeTaken(for: $0.name.bytes(in: payload)) && !name.equals($0.name.bytes(in: payload)) }
            if isTouched { fields.removeHeader(name) }
        }
    }

    private static func metadata(_ payload: Span<UInt8>, _ message: VerdictMessage) -> [(name: StaticString, value: [UInt8])] {
        let reason = message.reason.bytes(in: payload).array
        guard let subject = message.subject else { return [("reason", reason)] }
        // The metadata is for logs: what of it is no text is shown as such.
        return [("reason", reason), ("subject", Array(subject.bytes(in: payload).text.utf8))]
    }

    private static func denyUnfit(to output: ByteBuffer) {
        var writer = CheckResponseWriter(.internal, to: output)
        let denial = PolicyRules.nothing.internalFailure.denial
        let (name, type, body) = (Array("content-type".utf8), denial?.contentType ?? [], denial?.body ?? [])
        writer.denied(status: denial?.status ?? 500, body: body.span) { $0.setHeader(name.span, type.span) }
        writer.metadata([("reason", Reason.internalFailure.bytes)])
    }

    private static func code(for status: UInt16) -> GRPCStatusCode {
        switch status {
        case 401: .unauthenticated
        case 429: .resourceExhausted
        case 503: .unavailable
        case 400: .invalidArgument
        case 500: .internal
        default: .permissionDenied
        }
    }
}
