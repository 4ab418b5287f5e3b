import Bytes
import EventLoop
import HTTPMessage

/// A small HTTP/1.1 server on one loop: kept-alive and pipelined requests, bodies read and dropped.
actor StubServer {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let catalogue: Catalogue

    init(_ catalogue: Catalogue, loop: EventLoop) {
        self.catalogue = catalogue
        self.loop = loop
    }

    /// Serves until the process ends.
    func run(_ listener: Listener) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            let waiter = Waiter(loop: loop)
            let acceptor = try Acceptor(listener, on: waiter)
            while true {
                while !acceptor.mayAccept { await waiter.park() }
                switch acceptor.accept() {
                case .connection(let socket, _):
                    group.addImmediateTask(executorPreference: loop) { await self.serve(socket) }
                case .none: continue
                case .exhausted: await waiter.sleep(milliseconds: 100)
                }
            }
        }
    }

    private func serve(_ socket: Socket) async {
        var exchanges = Exchanges(catalogue, buffers: loop.buffers)
        defer {
            socket.close()
            exchanges.giveBack(to: loop.buffers)
        }
        let waiter = Waiter(loop: loop)
        socket.waiter = waiter
        while true {
            exchanges.answer()
            while true {
                let result = socket.send(exchanges.output)
                if result == .sent { break }
                guard result == .wouldBlock else { return }
                while !socket.isWritable { await waiter.park() }
            }
            guard !exchanges.hasEnded else { return }
            while !socket.isReadable { await waiter.park() }
            switch socket.receive(into: exchanges.input) {
            case .received, .wouldBlock: continue
            case .ended, .failed: return
            }
        }
    }
}

/// The requests of one connection, and their responses: bytes in, bytes out.
private struct Exchanges {
    let input: ByteBuffer
    let output: ByteBuffer
    private(set) var hasEnded = false
    private let catalogue: Catalogue
    private let body: ByteBuffer
    private let limits = HeadLimits()
    private var head = RequestHead()
    private var scanner = HeadScanner()
    private var rest = BodyFraming.none
    private var decoder: ChunkedDecoder?

    init(_ catalogue: Catalogue, buffers: BufferPool) {
        self.catalogue = catalogue
        input = buffers.take()
        output = buffers.take()
        body = buffers.take()
    }

    func giveBack(to buffers: BufferPool) {
        for buffer in [input, output, body] { buffers.give(buffer) }
    }

    /// Answers every request that is there in whole, and some of the next.
    mutating func answer() {
        do throws(MessageRefusal) {
            while !hasEnded, try dropBody(), try answerNext() {}
        } catch {
            body.append("{\"error\":\"malformed\"}")
            respond(error.status, keepsAlive: false, isHead: false)
        }
    }

    /// Drops what is there of the request body; false while there is more to come.
    private mutating func dropBody() throws(MessageRefusal) -> Bool {
        if case .length(let left) = rest {
            let dropped = min(left, input.count)
            input.consume(dropped)
            rest = left > dropped ? .length(left - dropped) : .none
            return left == dropped
        }
        while decoder != nil {
            switch try decoder!.next(in: input) {
            case .needsMoreBytes: return false
            case .data(let count):
                input.consume(count)
                decoder!.took(count)
            case .end(_, let trailerByteCount):
                input.consume(trailerByteCount)
                decoder = nil
            }
        }
        return true
    }

    /// Answers one request; false while its head is not all there.
    private mutating func answerNext() throws(MessageRefusal) -> Bool {
        let input = self.input
        guard let byteCount = try scanner.findEnd(in: input.bytes, limits: limits) else { return false }
        scanner = HeadScanner()
        try head.parse(input.bytes, byteCount: byteCount, limits: limits)
        if head.expectsContinue { output.append("HTTP/1.1 100 Continue\r\n\r\n") }
        let status = route()
        respond(status, keepsAlive: head.keepsAlive, isHead: head.method == .head)
        input.consume(byteCount)
        rest = head.framing
        decoder = rest == .chunked ? ChunkedDecoder(limits: limits) : nil
        return true
    }

    /// Writes the body for the request's path, and returns the status.
    private func route() -> UInt16 {
        let bytes = input.bytes
        let path = head.target.bytes(in: bytes).text.prefix { $0 != "?" }
        if path == "/health" {
            catalogue.appendHealth(to: body)
        } else if path == catalogue.path || path.hasPrefix(catalogue.path + "/") {
            catalogue.appendItems(
                user: value(of: "x-user-id", in: bytes), email: value(of: "x-user-email", in: bytes), to: body)
        } else {
            body.append("{\"error\":\"Not Found\"}")
            return 404
        }
        return 200
    }

    private func value(of name: StaticString, in bytes: Span<UInt8>) -> String {
        head.fields.first { $0.name.bytes(in: bytes).equalsIgnoringCase(name) }?.value.bytes(in: bytes).text ?? "unknown"
    }

    private mutating func respond(_ status: UInt16, keepsAlive: Bool, isHead: Bool) {
        output.append("HTTP/1.1 ")
        output.append(decimal: Int(status))
        output.append(" ")
        output.append(StatusCode.phrase(status))
        output.append("\r\nContent-Type: application/json\r\nContent-Length: ")
        output.append(decimal: body.count)
        output.append(keepsAlive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n")
        if !isHead { output.append(body.bytes) }
        body.clear()
        hasEnded = !keepsAlive
    }
}
