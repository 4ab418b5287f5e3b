import Bytes
import EventLoop
import JSON

/// What the proxy says on standard output of itself, in the format of its log: not of one exchange.
enum StartLines {
    /// That it is ready: its name and where it listens, and a line for each route.
    static func write(_ configuration: ProxyConfiguration, ports: [Int], to writer: LogWriter) {
        guard configuration.logFormat != .off else { return }
        var messages = configuration.listeners.isEmpty
            ? ports.map { "\(configuration.name) running on port \($0)" }
            : zip(configuration.listeners, ports).map { "\(configuration.name) running on \($0.url(port: $1))" }
        for route in configuration.routes { messages.append("\(route.prefix) -> \(route.upstream.summary)") }
        let lines = ByteBuffer(capacity: 1024)
        for message in messages { append(message, level: "info", as: configuration.logFormat, to: lines) }
        writer.write(lines.bytes, lineCount: messages.count)
    }

    /// Appends one line that says `message`.
    static func append(_ message: String, level: StaticString, as format: LogFormat, to lines: ByteBuffer) {
        guard format == .json else { return lines.append(utf8: "[GATEWAY] \(message)\n") }
        lines.append("{\"time\":\"")
        lines.append(Timestamp(unixMilliseconds: Clock.unixMilliseconds()))
        lines.append("\",\"level\":\"")
        lines.append(level)
        lines.append("\",\"message\":")
        lines.append(jsonString: message)
        lines.append("}\n")
    }
}
