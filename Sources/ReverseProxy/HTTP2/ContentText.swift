import Bytes
import HTTP2
import HTTPMessage

/// A stream's side that is written to.
protocol OutgoingStream {
    func send(_ content: Span<UInt8>)
    func end(trailers: FieldList?)
}

extension ServerStream: OutgoingStream {}
extension ClientStream: OutgoingStream {}

/// Reads a message's content as HTTP/1.1 writes it, piece by piece, and sends it on a stream.
struct ContentText {
    private enum Rest {
        case length(Int)
        case chunked(ChunkedDecoder)
        case over
    }

    private var rest: Rest

    /// Of a message that ends with its head.
    init() { rest = .over }

    /// - Parameter limits: of the trailers.
    init(_ framing: BodyFraming, limits: HeadLimits) {
        switch framing {
        case .none, .length(0): rest = .over
        case .length(let length): rest = .length(length)
        case .chunked: rest = .chunked(ChunkedDecoder(limits: limits))
        case .untilClose: rest = .length(.max)
        }
    }

    var isOver: Bool {
        if case .over = rest { true } else { false }
    }

    /// Sends what there is in `buffer`, and consumes it; ends the stream where the content has ended.
    ///
    /// - Throws: where it is no content in this coding.
    mutating func send(_ buffer: ByteBuffer, on stream: some OutgoingStream) throws(MessageRefusal) {
        switch rest {
        case .over: break
        case .length(let left):
            let taken = min(left, buffer.count)
            if taken > 0 { stream.send(buffer.bytes.extracting(0..<taken)) }
            buffer.consume(taken)
            rest = .length(left - taken)
            guard taken == left else { return }
            rest = .over
            stream.end(trailers: nil)
        case .chunked(var decoder):
            // Where it throws, nothing of the content is read on.
            rest = .over
            guard try sendChunks(&decoder, buffer, on: stream) else {
                rest = .chunked(decoder)
                return
            }
        }
        guard buffer.isEmpty else { throw MessageRefusal("There are bytes behind the message.") }
    }

    /// - Returns: whether that was the last chunk.
    private func sendChunks(
        _ decoder: inout ChunkedDecoder, _ buffer: ByteBuffer, on stream: some OutgoingStream
    ) throws(MessageRefusal) -> Bool {
        while true {
            switch try decoder.next(in: buffer) {
            case .needsMoreBytes: return false
            case .data(let count):
                stream.send(buffer.bytes.extracting(0..<count))
                buffer.consume(count)
                decoder.took(count)
            case .end(let lines, let trailerByteCount):
                let bytes = buffer.bytes
                var trailers = FieldList()
                for trailer in lines where trailer.kind == .other || trailer.kind == .date {
                    trailers.append(lowercasing: trailer.name.bytes(in: bytes), trailer.value.bytes(in: bytes))
                }
                buffer.consume(trailerByteCount)
                stream.end(trailers: trailers.fields.isEmpty ? nil : trailers)
                return true
            }
        }
    }
}
