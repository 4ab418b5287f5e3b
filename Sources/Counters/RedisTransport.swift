import Bytes
import EventLoop
import TLS

/// How bytes get to a Redis and back.
enum RedisTransport {
    case plain(Socket)
    case secure(TLSStream)

    func wake(_ waiter: Waiter) {
        switch self {
        case .plain(let socket): socket.waiter = waiter
        case .secure(let stream): stream.waiter = waiter
        }
    }

    var isReadable: Bool {
        switch self {
        case .plain(let socket): socket.isReadable
        case .secure(let stream): stream.isReadable
        }
    }

    var isWritable: Bool {
        switch self {
        case .plain(let socket): socket.isWritable
        case .secure(let stream): stream.isWritable
        }
    }

    /// Whether a send is due even where its buffer is empty.
    var hasUnsent: Bool {
        switch self {
        case .plain: false
        case .secure(let stream): stream.hasUnsent
        }
    }

    func receive(into buffer: ByteBuffer, room: Int = 4096) -> ReceiveResult {
        switch self {
        case .plain(let socket): socket.receive(into: buffer, room: room)
        case .secure(let stream): stream.receive(into: buffer, room: room)
        }
    }

    func send(_ buffer: ByteBuffer) -> SendResult {
        switch self {
        case .plain(let socket): socket.send(buffer)
        case .secure(let stream): stream.send(buffer)
        }
    }

    /// The code of a failed result in words.
    func text(of code: Int32) -> String {
        switch self {
        case .plain: SystemError.text(of: code)
        case .secure(let stream): stream.text(of: code)
        }
    }

    func close() {
        switch self {
        case .plain(let socket): socket.close()
        case .secure(let stream): stream.close()
        }
    }
}
