import Bytes
import HTTPMessage

/// Whose `X-Request-Id` is taken for the request's; where none is, one is made.
public enum RequestIDSource: String, Sendable, CaseIterable {
    /// The field is one like any other, and requests have no id.
    case off
    /// That of a trusted proxy.
    case trusted
    /// Anyone's.
    case any
}

/// What becomes of `traceparent` and `tracestate` (W3C Trace Context).
public enum TraceContextMode: String, Sendable, CaseIterable {
    /// They are fields like any others.
    case off
    /// A trace goes on with a span of the proxy's. What is malformed goes no further.
    case `continue`
    /// As `continue`, and where there is none a trace is begun.
    case start
}

/// What ties a request to its log line, and to what others log of it.
final class Correlation {
    /// Whether there is anything of the request here.
    private(set) var isNoted = false
    /// Empty where requests have no id.
    let requestID = ByteBuffer(capacity: 32)
    /// What the upstream is told. Its parent is the proxy's own span.
    private(set) var trace: TraceParent?
    /// Whether the client's `tracestate` belongs to the trace that goes on.
    private(set) var keepsTraceState = false

    private static let maximumIDBytes = 128

    func clear() {
        guard isNoted else { return }
        isNoted = false
        requestID.clear()
        trace = nil
        keepsTraceState = false
    }

    /// Reads what a request says of itself; makes what it doesn't say.
    ///
    /// - Parameters:
    ///   - fields: of its head, empty where that is unreadable.
    ///   - isTrusted: whether it comes from a trusted proxy.
    func note(
        _ fields: [FieldLine], _ bytes: Span<UInt8>, isTrusted: Bool, _ ids: RequestIDSource, _ traces: TraceContextMode,
        _ random: RandomNumbers
    ) {
        isNoted = true
        if ids != .off { noteID(fields, bytes, isTaken: ids == .any || isTrusted, random) }
        if traces != .off { noteTrace(fields, bytes, mayStart: traces == .start, random) }
    }

    private func noteID(_ fields: [FieldLine], _ bytes: Span<UInt8>, isTaken: Bool, _ random: RandomNumbers) {
        if isTaken, let field = Self.only("x-request-id", fields, bytes) {
            let value = field.value.bytes(in: bytes)
            if value.count > 0, value.count <= Self.maximumIDBytes, value.isVisible { return requestID.append(value) }
        }
        requestID.append(hexadecimal: random.next())
        requestID.append(hexadecimal: random.next())
    }

    private func noteTrace(_ fields: [FieldLine], _ bytes: Span<UInt8>, mayStart: Bool, _ random: RandomNumbers) {
        if let field = Self.only("traceparent", fields, bytes), let received = TraceParent(field.value.bytes(in: bytes)) {
            trace = TraceParent(
                traceHigh: received.traceHigh, traceLow: received.traceLow, parent: random.nextNonzero(), isSampled: received.isSampled)
            keepsTraceState = true
        } else if mayStart {
            // Whoever records it says so: the proxy records nothing.
            trace = TraceParent(
                traceHigh: random.nextNonzero(), traceLow: random.next(), parent: random.nextNonzero(), isSampled: false)
        }
    }

    /// The one field of this name; nil where there are several, as where there is none.
    private static func only(_ name: StaticString, _ fields: [FieldLine], _ bytes: Span<UInt8>) -> FieldLine? {
        var found: FieldLine?
        for field in fields where field.name.bytes(in: bytes).equalsIgnoringCase(name) {
            guard found == nil else { return nil }
            found = field
        }
        return found
    }
}

extension Span where Element == UInt8 {
    /// Whether all bytes are visible ASCII.
    fileprivate var isVisible: Bool {
        for index in indices where self[index] < 0x21 || self[index] > 0x7E { return false }
        return true
    }
}

/// Random numbers for ids: unique, not secret. Seeded by the system once, since asking it each time is a system call (xoshiro256++,
/// Blackman and Vigna, 2019).
final class RandomNumbers {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init() {
        var system = SystemRandomNumberGenerator()
        // All of them zero would stay so.
        state = (system.next(), system.next(), system.next(), system.next() | 1)
    }

    func next() -> UInt64 {
        let sum = state.0 &+ state.3
        let result = (sum << 23 | sum >> 41) &+ state.0
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }

    func nextNonzero() -> UInt64 {
        while true {
            let number = next()
            if number != 0 { return number }
        }
    }
}
