import Bytes
import EventLoop
import JSON

/// Which decisions are logged.
public enum DecisionLogMode: Sendable, Equatable {
    case off
    case denials
    /// One in so many, whatever it came to; 1 at least.
    case sampled(oneIn: Int)
    case all
}

/// What a decision's line says besides the request.
public struct LoggedDecision: Sendable {
    /// How the request stood to one of its limits.
    public struct Limit: Sendable {
        public let name: String
        public let limit: Int
        public let remaining: Int

        public init(name: String, limit: Int, remaining: Int) {
            self.name = name
            self.limit = limit
            self.remaining = remaining
        }
    }

    public var isAllowed: Bool
    /// Stable: out of the closed set of reasons.
    public var reason: [UInt8]
    /// The status that the client is answered with; nil for an allowed request.
    public var status: UInt16?
    /// The name of the rule that matched; nil where none did.
    public var rule: String?
    public var limits: [Limit]
    /// The fingerprint of the client's certificate; nil where it has shown none, of which the line then says nothing.
    public var certificate: String?
    public var durationNanoseconds: Int64

    public init(
        isAllowed: Bool, reason: [UInt8], status: UInt16?, rule: String?, limits: [Limit], certificate: String? = nil,
        durationNanoseconds: Int64
    ) {
        self.isAllowed = isAllowed
        self.reason = reason
        self.status = status
        self.rule = rule
        self.limits = limits
        self.certificate = certificate
        self.durationNanoseconds = durationNanoseconds
    }
}

/// One worker's decision log: a JSON object a line.
///
/// Ask ``wants(isAllowed:)`` once a decision, and compose what ``write(_:method:host:target:client:subject:)`` takes only then.
public final class DecisionLog {
    private let mode: DecisionLogMode
    private let lines: LogBatch
    private let loop: EventLoop
    /// Decisions until the next one that is taken.
    private var untilSample: Int

    /// - Parameter workerIndex: so that the workers' samples don't fall together.
    public init(_ writer: LogWriter, _ mode: DecisionLogMode, loop: EventLoop, workerIndex: Int) {
        self.mode = mode
        self.loop = loop
        lines = LogBatch(writer, loop: loop)
        untilSample = if case .sampled(let count) = mode { workerIndex % max(count, 1) } else { 0 }
    }

    /// Whether this decision is one to log.
    public func wants(isAllowed: Bool) -> Bool {
        switch mode {
        case .off: return false
        case .denials: return !isAllowed
        case .all: return true
        case .sampled(let count):
            guard untilSample > 0 else {
                untilSample = count - 1
                return true
            }
            untilSample -= 1
            return false
        }
    }

    /// Writes the line of one decision. What isn't known is empty, and `null` in the line.
    ///
    /// - Parameters:
    ///   - target: of which the path alone is logged: a query may hold what no log should.
    ///   - client: its address.
    ///   - subject: as whom the request is made.
    public func write(
        _ decision: LoggedDecision, method: Span<UInt8>, host: Span<UInt8>, target: Span<UInt8>, client: Span<UInt8>,
        subject: Span<UInt8>
    ) {
        lines.appendLine { line in
            line.append("{\"time\":\"")
            line.append(Timestamp(unixMilliseconds: loop.nowUnixMilliseconds))
            line.append(decision.isAllowed ? "\",\"decision\":\"allow\",\"reason\":\"" : "\",\"decision\":\"deny\",\"reason\":\"")
            line.append(decision.reason)
            line.append("\",\"status\":")
            if let status = decision.status { line.append(decimal: Int(status)) } else { line.append("null") }
            line.append(",\"subject\":")
            line.append(jsonOrNull: subject)
            line.append(",\"rule\":")
            if let rule = decision.rule { line.append(jsonString: rule) } else { line.append("null") }
            line.append(",\"method\":")
            line.append(jsonOrNull: method)
            line.append(",\"host\":")
            line.append(jsonOrNull: host)
            line.append(",\"path\":")
            line.append(jsonOrNull: path(of: target))
            line.append(",\"client\":")
            line.append(jsonOrNull: client)
            if let certificate = decision.certificate {
                line.append(",\"certificate\":")
                line.append(jsonString: certificate)
            }
            line.append(",\"limits\":[")
            for (index, limit) in decision.limits.enumerated() {
                line.append(index == 0 ? "{\"name\":" : ",{\"name\":")
                line.append(jsonString: limit.name)
                line.append(",\"limit\":")
                line.append(decimal: limit.limit)
                line.append(",\"remaining\":")
                line.append(decimal: limit.remaining)
                line.append("}")
            }
            line.append("],\"duration_us\":")
            line.append(decimal: Int(decision.durationNanoseconds / 1000))
            line.append("}")
        }
    }

    @_lifetime(copy target)
    private func path(of target: Span<UInt8>) -> Span<UInt8> {
        var end = 0
        while end < target.count, target[end] != UInt8(ascii: "?"), target[end] != UInt8(ascii: "#") { end += 1 }
        return target.extracting(0..<end)
    }

    /// Hands over what has waited long enough, until ``stop()``. A task of the worker.
    public func flushRegularly() async { await lines.flushRegularly() }

    public func stop() { lines.stop() }

    /// The line that tells how many lines were dropped: what a ``LogWriter`` of this log is given.
    public static let lineAboutDropped: @Sendable (Int) -> [UInt8] = { count in
        let line = ByteBuffer(capacity: 128)
        line.append("{\"time\":\"")
        line.append(Timestamp(unixMilliseconds: Clock.unixMilliseconds()))
        line.append("\",\"level\":\"warning\",\"message\":\"")
        line.append(decimal: count)
        line.append(" decision log lines dropped\"}\n")
        return line.bytes.array
    }
}

extension ByteBuffer {
    fileprivate func append(jsonOrNull text: Span<UInt8>) {
        if text.isEmpty { append("null") } else { append(jsonString: text) }
    }
}
