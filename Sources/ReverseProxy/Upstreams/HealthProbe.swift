import Bytes
import EventLoop
import HTTPMessage

/// Asks an endpoint once how it is, on a connection of its own: one that is kept would say nothing of whether new ones are taken.
struct HealthProbe {
    private static let headLimits = HeadLimits()
    private static let maximumInterimResponses = 16

    let endpoint: EndpointStatus
    let rules: HealthCheckRules
    let proxyHeader: ProxyHeaderVersion

    /// - Returns: nil where it is well, else what was wrong.
    /// - Throws: where it can't be asked, which says nothing of it.
    func run(on waiter: Waiter, unless isOver: () -> Bool) async throws(ConnectFailure) -> String? {
        let deadline = waiter.loop.nowMilliseconds + rules.timeoutMilliseconds
        let header = ByteBuffer(capacity: 32)
        ProxyHeader.appendOwn(proxyHeader, to: header)
        let stream: any ByteStream
        do throws(ConnectFailure) {
            (stream, _) = try await endpoint.connect(
                on: waiter, timeoutMilliseconds: rules.timeoutMilliseconds, sending: header.isEmpty ? nil : header)
        } catch {
            guard error.outcome == .failed else { throw error }
            return "it takes no connection"
        }
        defer { stream.close() }
        stream.waiter = waiter
        waiter.setDeadline(afterMilliseconds: max(deadline - waiter.loop.nowMilliseconds, 1))
        defer { waiter.clearDeadline() }
        let buffer = ByteBuffer(capacity: 1024)
        appendRequest(to: buffer)
        func isLate() -> Bool { waiter.isDue || isOver() }
        while case .wouldBlock = stream.send(buffer) {
            while !stream.isWritable, !isLate() { await waiter.park() }
            guard !isLate() else { return "it did not answer in \(rules.timeoutMilliseconds) ms" }
        }
        guard buffer.isEmpty else { return "the connection broke off" }
        return await answer(of: stream, into: buffer, on: waiter, isLate: isLate)
    }

    private func appendRequest(to buffer: ByteBuffer) {
        buffer.append("GET ")
        buffer.append(utf8: rules.path)
        buffer.append(" HTTP/1.1\r\nHost: ")
        buffer.append(endpoint.endpoint.authority.span)
        buffer.append("\r\nUser-Agent: gatehouse-health-check\r\nConnection: close\r\n\r\n")
    }

    private func answer(of stream: any ByteStream, into buffer: ByteBuffer, on waiter: Waiter, isLate: () -> Bool) async -> String? {
        var (scanner, response, interimCount) = (HeadScanner(), ResponseHead(), 0)
        while true {
            do {
                while let byteCount = try scanner.findEnd(in: buffer.bytes, limits: Self.headLimits) {
                    try response.parse(buffer.bytes, byteCount: byteCount, answering: .get)
                    guard response.isInterim, interimCount < Self.maximumInterimResponses else {
                        return (200...299).contains(response.status) ? nil : "it answered \(response.status)"
                    }
                    interimCount += 1
                    buffer.consume(byteCount)
                    scanner = HeadScanner()
                }
            } catch {
                return "its answer is malformed"
            }
            while !stream.isReadable, !isLate() { await waiter.park() }
            guard !isLate() else { return "it did not answer in \(rules.timeoutMilliseconds) ms" }
            switch stream.receive(into: buffer) {
            case .received, .wouldBlock: continue
            case .ended, .failed: return "the connection broke off"
            }
        }
    }
}
