import Bytes
import HTTP2
import HTTPMessage

/// Reads an HTTP/1.1 response as it is written for a client, piece by piece, and sends it on an HTTP/2 stream.
struct ResponseText {
    private enum State {
        case head
        case length(Int)
        case chunked(ChunkedDecoder)
        case over
    }

    private var state = State.head
    private var scanner = HeadScanner()
    private var response = ResponseHead()
    private let limits: HeadLimits
    /// Whether it answers HEAD.
    var answersHead = false

    /// - Parameter limits: what any head may take that the proxy writes.
    init(limits: HeadLimits) { self.limits = limits }

    /// Whether the response has been sent to its end.
    var isOver: Bool {
        if case .over = state { true } else { false }
    }

    /// Whether the final head has been sent: too late for another answer.
    var hasBegun: Bool {
        if case .head = state { false } else { true }
    }

    /// Sends what there is in `buffer`, and consumes it.
    ///
    /// - Throws: where the text is no response.
    mutating func send(_ buffer: ByteBuffer, on stream: ServerStream) throws(MessageRefusal) {
        while true {
            switch state {
            case .head:
                guard let byteCount = try scanner.findEnd(in: buffer.bytes, limits: limits) else { return }
                try response.parse(buffer.bytes, byteCount: byteCount, answering: answersHead ? .head : .get)
                scanner = HeadScanner()
                sendHead(buffer.bytes, on: stream)
                buffer.consume(byteCount)
            case .length(let left):
                guard !buffer.isEmpty else { return }
                let taken = min(left, buffer.count)
                stream.send(buffer.bytes.extracting(0..<taken))
                buffer.consume(taken)
                state = .length(left - taken)
                guard taken == left else { continue }
                state = .over
                stream.end()
            case .chunked(var decoder):
                state = .over   // so that the decoder is moved, not copied
                guard try sendChunks(&decoder, buffer, on: stream) else {
                    state = .chunked(decoder)
                    return
                }
            case .over:
                guard buffer.isEmpty else { throw MessageRefusal("There are bytes behind the response.") }
                return
            }
        }
    }

    private mutating func sendHead(_ bytes: Span<UInt8>, on stream: ServerStream) {
        let headers = headers(bytes)
        guard !response.isInterim else { return stream.answerInterim(headers) }
        switch response.framing {
        case .none, .length(0):
            state = .over
            stream.answer(headers, isEnd: true)
        case .length(let length):
            state = .length(length)
            stream.answer(headers)
        case .chunked:
            state = .chunked(ChunkedDecoder(limits: limits))
            stream.answer(headers)
        case .untilClose:
            state = .length(.max)
            stream.answer(headers)
        }
    }

    /// The head's fields, but for those that concern a connection (RFC 9113 §8.2.2).
    private func headers(_ bytes: Span<UInt8>) -> FieldList {
        var headers = FieldList()
        let status = response.status
        let digits: InlineArray<3, UInt8> = [
            UInt8(ascii: "0") + UInt8(status / 100), UInt8(ascii: "0") + UInt8(status / 10 % 10), UInt8(ascii: "0") + UInt8(status % 10),
        ]
        headers.append(":status", digits.span)
        for field in response.fields {
            switch field.kind {
            case .connection, .hopByHop, .transferEncoding: continue
            default: headers.append(lowercasing: field.name.bytes(in: bytes), field.value.bytes(in: bytes))
            }
        }
        return headers
    }

    /// - Returns: whether that was the last chunk.
    private func sendChunks(_ decoder: inout ChunkedDecoder, _ buffer: ByteBuffer, on stream: ServerStream) throws(MessageRefusal) -> Bool {
        while true {
            switch try decoder.next(in: buffer) {
            case .needsMoreBytes: return false
            case .data(let count):
                stream.send(buffer.bytes.extracting(0..<count))
                buffer.consume(count)
                decoder.took(count)
            case .end(let trailerByteCount):
                let bytes = buffer.bytes
                var trailers = FieldList()
                for trailer in decoder.trailers where trailer.kind == .other || trailer.kind == .date {
                    trailers.append(lowercasing: trailer.name.bytes(in: bytes), trailer.value.bytes(in: bytes))
                }
                buffer.consume(trailerByteCount)
                stream.end(trailers: trailers.fields.isEmpty ? nil : trailers)
                return true
            }
        }
    }
}
