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
        let (stream, address): (any ByteStream, SocketAddress)
        do throws(ConnectFailure) {
            (stream, address) = try await endpoint.connect(
                on: waiter, timeoutMilliseconds: rules.timeoutMilliseconds, sending: header.isEmpty ? nil : header)
        } catch {
            guard error.outcome == .failed else { throw error }
            return "it takes no connection"
        }
        defer { stream.close() }
        stream.waiter = waiter
        waiter.setDeadline(afterMilliseconds: max(deadline - waiter.loop.nowMilliseconds, 1))
        defer { waiter.clearDeadline() }
        func isLate() -> Bool { waiter.isDue || isOver() }
        guard endpoint.endpoint.isHTTP2 else { return await ask(stream, on: waiter, isLate: isLate) }
        let session = UpstreamSession(
            stream, to: address, loop: waiter.loop, limits: Self.headLimits, idleTimeoutMilliseconds: .max, waiter: waiter)
        defer { session.close() }
        guard await wait(on: waiter, moving: session, isLate: isLate, until: { session.isGreeted || session.isOver }) else { return late }
        guard session.takesRequests else { return "it takes no request by HTTP/2" }
        let request = session.open()
        request.waiter = waiter
        defer { request.close() }
        return await ask(request, on: waiter, moving: session, isLate: isLate)
    }

    private var late: String { "it did not answer in \(rules.timeoutMilliseconds) ms" }

    /// - Returns: false where it has become too late.
    private func wait(
        on waiter: Waiter, moving session: UpstreamSession?, isLate: () -> Bool, until isReady: () -> Bool
    ) async -> Bool {
        while !isReady() {
            if isLate() { return false }
            let hasMoved = session?.move() == true
            // Whoever waits for a stream of it is told so.
            if let session, session.isOver { session.close() }
            if hasMoved { await waiter.yieldTurn() } else if !isReady() { await waiter.park() }
        }
        return true
    }

    private func ask(
        _ stream: any ByteStream, on waiter: Waiter, moving session: UpstreamSession? = nil, isLate: () -> Bool
    ) async -> String? {
        let buffer = ByteBuffer(capacity: 1024)
        appendRequest(to: buffer)
        while case .wouldBlock = stream.send(buffer) {
            guard await wait(on: waiter, moving: session, isLate: isLate, until: { stream.isWritable }) else { return late }
        }
        guard buffer.isEmpty else { return "the connection broke off" }
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
            guard await wait(on: waiter, moving: session, isLate: isLate, until: { stream.isReadable }) else { return late }
            switch stream.receive(into: buffer) {
            case .received, .wouldBlock: continue
            case .ended, .failed: return "the connection broke off"
            }
        }
    }

    private func appendRequest(to buffer: ByteBuffer) {
        buffer.append("GET ")
        buffer.append(utf8: rules.path)
        buffer.append(" HTTP/1.1\r\nHost: ")
        buffer.append(endpoint.endpoint.authority.span)
        buffer.append("\r\nUser-Agent: gatehouse-health-check\r\nConnection: close\r\n\r\n")
    }
}
