import Bytes
import HTTPMessage

/// A message's body on its way through: what is left of it, and its passage from one buffer to another.
struct BodyReader {
    /// How the body is written on.
    enum Coding {
        /// As it is: its length has been announced, or the connection's end is its end.
        case identity
        case chunked
    }

    private enum Rest {
        case none
        case length(Int)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private var rest: Rest
    private(set) var hasEnded: Bool
    /// How many bytes of content have passed.
    private(set) var byteCount = 0
    /// Whether some of what is there waits for the output to be sent.
    private(set) var isHeldUp = false

    /// Of a message without content.
    init() { (rest, hasEnded) = (.none, true) }

    /// - Parameter limits: of trailers.
    init(_ framing: BodyFraming, limits: HeadLimits) {
        switch framing {
        case .none, .length(0): (rest, hasEnded) = (.none, true)
        case .length(let length): (rest, hasEnded) = (.length(length), false)
        case .chunked: (rest, hasEnded) = (.chunked(ChunkedDecoder(limits: limits)), false)
        case .untilClose: (rest, hasEnded) = (.untilClose, false)
        }
    }

    /// Whether the sender's end of the connection is the body's end.
    var endsWithConnection: Bool {
        if case .untilClose = rest { true } else { false }
    }

    /// Moves what there is of the body from `input` to `output`, until `output` holds `room` bytes.
    ///
    /// - Parameter passesTrailer: whether a trailer field goes on; asked with the field and the bytes it lies in.
    /// - Throws: the refusal of a malformed body.
    mutating func move(
        from input: ByteBuffer, to output: ByteBuffer, as coding: Coding, room: Int,
        passesTrailer: (FieldLine, Span<UInt8>) -> Bool
    ) throws(MessageRefusal) {
        switch rest {
        case .none: return
        case .length(let left):
            let taken = take(min(left, input.count), from: input, to: output, as: coding, room)
            rest = .length(left &- taken)
            if taken == left { end(output, coding) }
        case .untilClose:
            _ = take(input.count, from: input, to: output, as: coding, room)
        case .chunked(var decoder):
            // Where it throws, nothing of the body is read on.
            rest = .none
            try moveChunks(&decoder, from: input, to: output, as: coding, room, passesTrailer)
            if !hasEnded { rest = .chunked(decoder) }
        }
    }

    /// Notes that the sender has closed its connection, which ends a body that ends with it.
    mutating func connectionEnded(_ output: ByteBuffer, as coding: Coding) { end(output, coding) }

    private mutating func moveChunks(
        _ decoder: inout ChunkedDecoder, from input: ByteBuffer, to output: ByteBuffer, as coding: Coding, _ room: Int,
        _ passesTrailer: (FieldLine, Span<UInt8>) -> Bool
    ) throws(MessageRefusal) {
        while output.count < room {
            switch try decoder.next(in: input) {
            case .needsMoreBytes: return
            case .data(let count):
                decoder.took(take(count, from: input, to: output, as: coding, room))
                if isHeldUp { return }
            case .end(let trailers, let trailerByteCount):
                hasEnded = true
                if coding == .chunked {
                    output.append("0\r\n")
                    let bytes = input.bytes
                    for trailer in trailers where passesTrailer(trailer, bytes) {
                        output.append(trailer.line.bytes(in: bytes))
                    }
                    output.append("\r\n")
                }
                return input.consume(trailerByteCount)
            }
        }
    }

    private mutating func take(
        _ count: Int, from input: ByteBuffer, to output: ByteBuffer, as coding: Coding, _ room: Int
    ) -> Int {
        isHeldUp = false
        guard count > 0 else { return 0 }
        // As a rule it is all that came, and goes on as it is: by an exchange of storage.
        let mayGoAsItIs = coding == .identity && count == input.count
        if mayGoAsItIs, output.isEmpty {
            input.moveAll(to: output)
            byteCount &+= count
            return count
        }
        let taken = min(count, room &- output.count)
        // Behind the first of it, which goes with the head, it is worth waiting for that.
        if taken < count {
            isHeldUp = true
            if mayGoAsItIs, byteCount > 0 { return 0 }
        }
        guard taken > 0 else { return 0 }
        let data = input.bytes.extracting(0..<taken)
        if coding == .chunked { output.append(chunk: data) } else { output.append(data) }
        input.consume(taken)
        byteCount &+= taken
        return taken
    }

    private mutating func end(_ output: ByteBuffer, _ coding: Coding) {
        hasEnded = true
        if coding == .chunked { output.append("0\r\n\r\n") }
    }
}
