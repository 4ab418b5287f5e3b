import Bytes

/// Bytes both ways over one connection: a ``Socket``, or what is laid over one. Calls never wait: its task parks on
/// ``waiter`` while the flags say no.
public protocol ByteStream: AnyObject {
    /// Who is woken when a flag changes.
    var waiter: Waiter? { get set }
    /// Whether a receive is worth trying: bytes, the peer's end, or an error are there, or may be.
    var isReadable: Bool { get }
    /// Whether a send is worth trying.
    var isWritable: Bool { get }
    /// Whether bytes that a ``send(_:)`` took have not left yet: call it again once ``isWritable``, with an empty buffer where
    /// there is nothing else.
    var hasUnsent: Bool { get }
    /// Whether the peer has neither sent anything nor ended its side, looked at more closely than ``isReadable`` does: what is
    /// no more than the protocol's own (a TLS session ticket, say) is taken in and doesn't count.
    var isQuiet: Bool { get }
    /// Whether the connection is over in both directions: nothing that is sent can arrive.
    var isBroken: Bool { get }
    var isOpen: Bool { get }

    /// Receives what is there, as far as the buffer's free room (at least `room` bytes) goes.
    func receive(into buffer: ByteBuffer, room: Int) -> ReceiveResult
    /// Sends what is in the buffer and consumes what was taken. What is left must come first in the buffer of the next call.
    func send(_ buffer: ByteBuffer) -> SendResult
    /// The code of a failed result in words.
    func text(of code: Int32) -> String

    /// Ends the sending side; the peer reads the end after the last byte.
    func endSending()
    func close()
    /// Closes so that the peer sees that this is no orderly end.
    func reset()
}

extension ByteStream {
    public var isQuiet: Bool { !isReadable }

    public func receive(into buffer: ByteBuffer) -> ReceiveResult { receive(into: buffer, room: 4096) }
}
