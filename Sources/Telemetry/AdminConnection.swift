import Bytes
import EventLoop
import HTTPMessage
import Synchronization

/// One admin client: a request after the other until either side ends it, each wait under a deadline.
final class AdminConnection {
    private let socket: Socket
    private let waiter: Waiter
    private let routes: [AdminRoute]
    private let limits: AdminLimits
    private let drain: AdminDrain
    private let input = ByteBuffer(capacity: 1024)
    private var head = RequestHead()
    /// Since when no request has begun, in the loop's milliseconds; nil within one.
    private(set) var idleSince: Int64?

    init(_ socket: Socket, _ routes: [AdminRoute], _ limits: AdminLimits, _ drain: AdminDrain) {
        self.socket = socket
        self.routes = routes
        self.limits = limits
        self.drain = drain
        waiter = Waiter(loop: socket.loop)
    }

    /// Serves the client until the connection is closed.
    func serve() async {
        socket.waiter = waiter
        do throws(MessageRefusal) {
            while try await receiveHead() {
                let (answer, allowed) = try await answer()
                input.consume(head.byteCount)
                // A later version's client keeps alive by default; an older one would have to be told.
                let keepsAlive = head.keepsAlive && head.minorVersion == 1 && !drain.hasBegun
                guard await send(answer, allowed: allowed, keepsAlive: keepsAlive, hasBody: head.method != .head), keepsAlive else { break }
                await waiter.yieldTurn()
            }
        } catch {
            if await send(AdminAnswer(error.status, error.message), keepsAlive: false) { await linger() }
        }
        socket.close()
    }

    /// Ends the connection at once, whatever it is at.
    func cutOff() {
        socket.close()
        waiter.wake()
    }

    // MARK: The request

    /// Waits for a request's head; false where none comes any more.
    private func receiveHead() async throws(MessageRefusal) -> Bool {
        var scanner = HeadScanner()
        idleSince = input.isEmpty ? waiter.loop.nowMilliseconds : nil
        waiter.setDeadline(afterMilliseconds: input.isEmpty ? limits.idleMilliseconds : limits.headMilliseconds)
        while true {
            let input = self.input
            if let byteCount = try scanner.findEnd(in: input.bytes, limits: limits.head) {
                try head.parse(input.bytes, byteCount: byteCount, limits: limits.head)
                return true
            }
            while !socket.isReadable {
                guard socket.isOpen, !waiter.isDue, !drain.hasBegun else { return false }
                await waiter.park()
            }
            switch socket.receive(into: input, room: 1024) {
            case .received where idleSince != nil:
                idleSince = nil
                waiter.setDeadline(afterMilliseconds: limits.headMilliseconds)
            case .received, .wouldBlock: continue
            case .ended, .failed: return false
            }
        }
    }

    /// The answer to the request, and the method to name where another one was used.
    private func answer() async throws(MessageRefusal) -> (AdminAnswer, allowed: AdminRoute.Method?) {
        let (method, path) = try judgeRequest()
        let there = routes.filter { $0.path == path }
        if let route = there.first(where: { $0.method.rawValue == method }) { return (await run(route), nil) }
        guard let other = there.first else { return (AdminAnswer(404, "There is nothing here."), nil) }
        return (AdminAnswer(405, "The method here is \(other.method.rawValue)."), other.method)
    }

    private func judgeRequest() throws(MessageRefusal) -> (method: String, path: String) {
        guard !head.hasBody else { throw MessageRefusal(413, "A request here has no content.") }
        let target = try RequestTarget.normalize(head, in: input)
        let input = self.input
        let bytes = input.bytes
        for field in head.fields where field.name.bytes(in: bytes).equalsIgnoringCase("origin") {
            // A page that a browser on this machine shows must not be able to reload or read anything here.
            throw MessageRefusal(403, "Requests of web pages are not answered.")
        }
        let (method, path) = (head.methodName.bytes(in: bytes), target.path.bytes(in: bytes))
        return (head.method == .head ? AdminRoute.Method.get.rawValue : method.text, path.text)
    }

    private func run(_ route: AdminRoute) async -> AdminAnswer {
        let answered = PendingAnswer()
        waiter.setDeadline(afterMilliseconds: limits.answerMilliseconds)
        Task(executorPreference: waiter.loop) { [loop = waiter.loop] in
            let answer = await route.answer()
            answered.value.withLock { $0 = answer }
            loop.wakeAll()
        }
        while socket.isOpen, !waiter.isDue {
            if let answer = answered.value.withLock({ $0 }) { return answer }
            await waiter.park()
        }
        return AdminAnswer(503, "no answer within \(limits.answerMilliseconds) ms")
    }

    // MARK: The answer

    /// Sends an answer; false where the client doesn't take it.
    private func send(
        _ answer: AdminAnswer, allowed: AdminRoute.Method? = nil, keepsAlive: Bool, hasBody: Bool = true
    ) async -> Bool {
        let output = ByteBuffer(capacity: answer.body.count + 512)
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(answer.status))
        output.append(" ")
        output.append(StatusCode.phrase(answer.status))
        output.append("\r\nDate: ")
        output.append(imfFixdate: waiter.loop.nowUnixMilliseconds / 1000)
        output.append("\r\nContent-Type: ")
        output.append(answer.contentType)
        output.append("\r\nContent-Length: ")
        output.append(decimal: answer.body.count)
        output.append("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n")
        if let allowed { output.append(utf8: "Allow: \(allowed == .get ? "GET, HEAD" : allowed.rawValue)\r\n") }
        output.append(keepsAlive ? "\r\n" : "Connection: close\r\n\r\n")
        if hasBody { output.append(answer.body) }
        waiter.setDeadline(afterMilliseconds: limits.sendMilliseconds)
        while true {
            switch socket.send(output) {
            case .sent: return true
            case .failed: return false
            case .wouldBlock:
                while !socket.isWritable {
                    guard socket.isOpen, !waiter.isDue else { return false }
                    await waiter.park()
                }
            }
        }
    }

    /// Reads on for a while, so that a refusal isn't lost to a reset that unread bytes would cause (RFC 9112 §9.6).
    private func linger() async {
        socket.endSending()
        waiter.setDeadline(afterMilliseconds: limits.lingerMilliseconds)
        var left = limits.lingerBytes
        while left > 0, socket.isOpen, !waiter.isDue {
            input.clear()
            switch socket.receive(into: input) {
            case .received(let byteCount): left -= byteCount
            case .wouldBlock: await waiter.park()
            case .ended, .failed: return
            }
        }
    }
}

/// Where a route puts its answer, which may come when nobody waits for it any more.
private final class PendingAnswer: Sendable {
    let value = Mutex<AdminAnswer?>(nil)
}
