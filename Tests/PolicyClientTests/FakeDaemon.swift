import Bytes
import EventLoop
import Foundation
import PolicyProtocol
import Testing

/// A policy daemon that does what a test tells it to.
final class FakeDaemon {
    let path: String
    private let listener: Listener
    private let acceptor: Acceptor
    private let waiter: Waiter
    private let loop: EventLoop

    init(loop: EventLoop, path: String = FakeDaemon.newPath()) throws {
        self.loop = loop
        self.path = path
        waiter = Waiter(loop: loop)
        listener = try Listener.unix(path: path, mode: 0o600)
        acceptor = try Acceptor(listener, on: waiter)
    }

    deinit {
        acceptor.close()
        try? FileManager.default.removeItem(atPath: path + ".lock")
    }

    static func newPath() -> String {
        FileManager.default.temporaryDirectory.appending(path: "gatehouse-\(UUID().uuidString.prefix(13)).sock").path
    }

    func accept() async -> FakePeer {
        waiter.setDeadline(afterMilliseconds: Stage.hangMilliseconds)
        while true {
            precondition(!waiter.isDue, "nobody connects")
            if case .connection(let socket, _) = acceptor.accept() { return FakePeer(socket) }
            while !acceptor.mayAccept, !waiter.isDue { await waiter.park() }
        }
    }

    /// Accepts a client and exchanges HELLOs with it.
    func welcome(_ greeting: [UInt8] = Frames.hello()) async -> FakePeer {
        let peer = await accept()
        _ = await peer.frame()
        peer.send(greeting)
        return peer
    }
}

/// The daemon's end of one connection.
final class FakePeer {
    struct Frame {
        let type: FrameType?
        let id: UInt32
        let payload: [UInt8]
    }

    private let socket: Socket
    private let waiter: Waiter
    private let input = ByteBuffer(capacity: 1024)
    /// How many receives brought something.
    private(set) var receiveCount = 0

    init(_ socket: Socket) {
        self.socket = socket
        waiter = Waiter(loop: socket.loop)
        socket.waiter = waiter
    }

    /// The next frame; nil where the client has closed instead.
    func frame() async -> Frame? {
        waiter.setDeadline(afterMilliseconds: Stage.hangMilliseconds)
        while !waiter.isDue {
            if let frame = try? takeFrame() { return frame }
            while !socket.isReadable, !waiter.isDue { await waiter.park() }
            switch socket.receive(into: input) {
            case .received: receiveCount += 1
            case .wouldBlock: break
            case .ended, .failed: return nil
            }
        }
        Issue.record("the client sends nothing")
        return nil
    }

    func frames(_ count: Int) async -> [Frame] {
        var frames: [Frame] = []
        while frames.count < count, let frame = await frame() { frames.append(frame) }
        return frames
    }

    private func takeFrame() throws -> Frame? {
        let input = self.input
        let bytes = input.bytes
        guard case .frame(let header) = try FrameHeader.parse(bytes, maximumFrameBytes: 1 << 20) else { return nil }
        let frame = Frame(type: header.type, id: header.id, payload: bytes.extracting(header.payloadRange).array)
        input.consume(header.frameByteCount)
        return frame
    }

    func send(_ bytes: [UInt8]) {
        let buffer = ByteBuffer(capacity: bytes.count)
        buffer.append(bytes)
        #expect(socket.send(buffer) != .wouldBlock, "more than the socket takes at once")
    }

    func close() { socket.close() }
}

/// Frames as a daemon sends them.
enum Frames {
    static func hello(maximumInFlight: Int = 1_000, wanted: [String] = ["authorization"], maximumFrameBytes: Int = 16_384) -> [UInt8] {
        bytes { buffer in
            try? DaemonHello(
                name: "fake", maximumFrameBytes: maximumFrameBytes, maximumInFlight: maximumInFlight, wantedHeaders: wanted,
                ownedHeaders: ["x-user-id"]
            ).encode(to: buffer)
        }
    }

    static func allow(_ id: UInt32, reason: String = "allowed", user: String? = nil) -> [UInt8] {
        bytes { buffer in
            var verdict = VerdictWriter(allow: id, reason: Array(reason.utf8).span, to: buffer, maximumFrameBytes: 16_384)
            if let user { verdict.setRequestHeader(Array("x-user-id".utf8).span, Array(user.utf8).span) }
            try? verdict.finish()
        }
    }

    static func deny(_ id: UInt32) -> [UInt8] {
        bytes { try? VerdictWriter(deny: id, status: 401, reason: Array("token-missing".utf8).span, to: $0, maximumFrameBytes: 16_384).finish() }
    }

    static func ping(_ id: UInt32) -> [UInt8] { bytes { Ping.encode(id: id, to: $0) } }
    static func pong(_ id: UInt32) -> [UInt8] { bytes { Ping.encodeAnswer(id: id, to: $0) } }
    static func goAway() -> [UInt8] { bytes { try? GoAway(message: "stopping").encode(to: $0) } }

    static func error(_ code: ProtocolError.Code) -> [UInt8] {
        bytes { try? ErrorReport(ProtocolError(code, "no")).encode(to: $0) }
    }

    static func raw(_ type: UInt8, id: UInt32 = 0, payload: [UInt8] = []) -> [UInt8] {
        bytes { buffer in
            buffer.append(bigEndian: UInt32(type) << 24 | UInt32(payload.count))
            buffer.append(bigEndian: id)
            buffer.append(payload)
        }
    }

    private static func bytes(_ write: (ByteBuffer) -> Void) -> [UInt8] {
        let buffer = ByteBuffer(capacity: 64)
        write(buffer)
        return buffer.bytes.array
    }
}
