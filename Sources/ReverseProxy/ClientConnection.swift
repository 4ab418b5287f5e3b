import Bytes
import EventLoop

/// What happens to the client's connection after an exchange.
enum AfterExchange {
    /// The next request may come.
    case keepAlive
    /// It is an HTTP/2 connection: what has come of it is in the exchange's input.
    case http2
    /// The answer has been sent and no request is read any more: closed once the client could read it (RFC 9112 §9.6).
    case linger
    /// Closed at once: the client has left, or everything it asked for is with it.
    case close
    /// Torn down, so that the client cannot take what it got for the whole.
    case reset
}

/// One client's connection: an exchange after the other until either side ends it.
final class ClientConnection {
    let stream: any ByteStream
    let waiter: Waiter
    private(set) var worker: WorkerContext
    /// Whom it is from, as the worker's configuration has it.
    private(set) var peer: ClientPeer
    /// Whether it is one stream of many on an HTTP/2 connection.
    let isHTTP2: Bool
    /// Whether its first bytes have yet to be read.
    private(set) var isNew = true

    /// What a client may still send while its connection is closed gently.
    private static let lingerBytes = 1024 * 1024

    /// - Parameters:
    ///   - peer: as `worker` has it.
    ///   - waiter: the one the stream was waited for with.
    init(_ stream: any ByteStream, from peer: ClientPeer, on waiter: Waiter, in worker: WorkerContext) {
        self.stream = stream
        self.peer = peer
        self.worker = worker
        self.waiter = waiter
        isHTTP2 = false
        stream.waiter = waiter
    }

    /// What streams of HTTP/2 are to the exchange that serves them, one after the other.
    ///
    /// - Parameter connection: that of the first of them, which begins.
    init(_ stream: DownstreamStream, on connection: ClientConnection, in worker: WorkerContext) {
        self.stream = stream
        self.worker = worker
        peer = connection.peer
        waiter = Waiter(loop: worker.loop)
        isHTTP2 = true
        stream.waiter = waiter
    }

    /// The next stream begins.
    ///
    /// - Parameter connection: its connection as a whole. It has just followed a reload, if there was one, and so it is under the configuration that
    ///   the exchange belongs to, from which this one never departs.
    func streamBegan(on connection: ClientConnection) { peer = connection.peer }

    /// The stream has ended: the next one has no deadline from it.
    func streamEnded() { waiter.clearDeadline() }

    /// Has what comes next judged by the latest configuration.
    func followReload() {
        guard worker.isRetired, let latest = worker.state.latest else { return }
        worker = latest
        peer = peer.judged(by: latest.configuration.trustedProxies)
    }

    /// What came of serving a connection.
    enum Served {
        /// Its client is idle: it may ``rest()``.
        case idle
        case over
        /// It turned out to be one of HTTP/2, and is open still.
        case http2(HTTP2Connection)
    }

    /// Serves one exchange after the other, for as long as there is something to read.
    func serve() async -> Served {
        while stream.isReadable {
            followReload()
            // An idle connection holds neither buffers nor an exchange: they are lent while there are bytes in hand.
            var exchange = worker.takeExchange()
            var after = await serve(with: exchange)
            while after == .keepAlive, !exchange.input.isEmpty {
                exchange = replace(exchange)
                after = await serve(with: exchange)
            }
            if after == .linger { await linger(exchange.input) }
            let http2 = after == .http2 ? HTTP2Connection(self, received: exchange.input) : nil
            exchange.worker.giveBack(exchange)
            switch after {
            case .keepAlive where stream.isReadable: await waiter.yieldTurn()
            case .keepAlive: return .idle
            case .http2: if let http2 { return .http2(http2) }
            case .linger, .close:
                stream.close()
                return .over
            case .reset:
                stream.reset()
                return .over
            }
        }
        return .idle
    }

    /// An exchange of the latest configuration, with what has come already: a client that pipelines follows a reload as well.
    private func replace(_ former: Exchange) -> Exchange {
        followReload()
        let next = worker.takeExchange()
        let left = former.input
        next.input.append(left.bytes)
        former.worker.giveBack(former)
        return next
    }

    /// One request after the other, for as long as there is something in hand and no other configuration.
    private func serve(with exchange: Exchange) async -> AfterExchange {
        while true {
            let after = await exchange.run(for: self)
            isNew = false
            guard after == .keepAlive, !exchange.input.isEmpty, !worker.isRetired else { return after }
            // What is answered at once never parks: without this, a client that pipelines has the loop to itself.
            await waiter.yieldTurn()
        }
    }

    /// Waits for the first byte of a request without a task: ``ServingTasks`` has one for it then. Also for that of one which was sent before
    /// the client could know of a drain.
    func rest() {
        guard !worker.isDrainIdleOver else { return close() }
        waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.idle)
        waiter.rest(self)
    }

    private func close() {
        stream.close()
        worker.state.connectionEnded()
    }

    /// Ends the sending side and reads on, so that the last answer isn't lost to a reset caused by bytes that nobody reads.
    func linger(_ input: ByteBuffer) async {
        stream.endSending()
        waiter.setDeadline(afterMilliseconds: worker.configuration.timeouts.linger)
        var left = Self.lingerBytes
        while left > 0, !waiter.isDue {
            input.clear()
            switch stream.receive(into: input) {
            case .received(let count): left -= count
            case .wouldBlock: await waiter.park()
            case .ended, .failed: return
            }
        }
    }
}

extension ClientConnection: Resting {
    func roused() {
        if stream.isReadable { return worker.state.tasks.submit(.request(self)) }
        if waiter.isDue || worker.isDrainIdleOver { return close() }
        waiter.rest(self)
    }
}
