import Bytes

/// Takes the chunked coding (RFC 9112 §7.1) off a body, piece by piece, out of the buffer that the body is received into.
///
/// Call ``next(in:)`` until it says what is needed; copy the data it announces, consume it from the buffer, and say so by
/// ``took(_:)``.
public struct ChunkedDecoder: Sendable {
    /// What stands at the front of the buffer.
    public enum Step: Sendable, Equatable {
        /// So many bytes of the body.
        case data(Int)
        case needsMoreBytes
        /// The body has ended. Its trailers are ranges of the buffer's bytes, of which their section takes so many: consume those when they
        /// are done with.
        case end(trailers: [FieldLine], byteCount: Int)
    }

    private enum State: Sendable {
        case size
        case data(left: Int)
        case dataEnd
        case trailers
    }

    private var state = State.size
    private var scanner = HeadScanner.forTrailers
    private let limits: HeadLimits

    public init(limits: HeadLimits) { self.limits = limits }

    /// Looks at the front of `buffer`, and takes off it what frames the data.
    ///
    /// - Throws: 400 for a malformed chunk, 431 for trailers over the limits. The connection cannot go on.
    public mutating func next(in buffer: ByteBuffer) throws(MessageRefusal) -> Step {
        while true {
            switch state {
            case .size:
                guard let size = try takeSize(buffer) else { return .needsMoreBytes }
                state = size > 0 ? .data(left: size) : .trailers
            case .data(let left):
                return buffer.isEmpty ? .needsMoreBytes : .data(min(left, buffer.count))
            case .dataEnd:
                guard try takeLineEnd(buffer) else { return .needsMoreBytes }
                state = .size
            case .trailers:
                let bytes = buffer.bytes
                guard let end = try scanner.findEnd(in: bytes, limits: limits) else { return .needsMoreBytes }
                var trailers: [FieldLine] = []
                try FieldLines.read(0..<end, of: bytes, into: &trailers)
                return .end(trailers: trailers, byteCount: end)
            }
        }
    }

    /// Notes that `byteCount` of the bytes last announced have been consumed.
    public mutating func took(_ byteCount: Int) {
        guard case .data(let left) = state else { return }
        precondition(byteCount <= left, "more was taken than the chunk has")
        state = byteCount == left ? .dataEnd : .data(left: left &- byteCount)
    }

    /// Takes `chunk-size [ chunk-ext ] CRLF`; nil where it is not all there. Extensions are dropped.
    private func takeSize(_ buffer: ByteBuffer) throws(MessageRefusal) -> Int? {
        let bytes = buffer.bytes
        guard let lineFeed = bytes.firstIndex(of: 0x0A, from: 0) else {
            // What is there already must be the beginning of a size: a garbage stream is refused at its first byte.
            guard bytes.count <= HeadLimits.chunkLineBytes else { throw MessageRefusal("A chunk's size line is too long.") }
            if bytes.count > 0, bytes[0].hexadecimalValue == nil { throw MessageRefusal("A chunk has a malformed size.") }
            if let carriageReturn = bytes.firstIndex(of: 0x0D, from: 0), carriageReturn < bytes.count - 1 {
                throw MessageRefusal("A chunk's size line ends with a bare CR.")
            }
            return nil
        }
        guard lineFeed <= HeadLimits.chunkLineBytes else { throw MessageRefusal("A chunk's size line is too long.") }
        guard lineFeed > 0, bytes[lineFeed - 1] == 0x0D else { throw MessageRefusal("A chunk's size line ends with a bare LF.") }
        let size = try size(bytes.extracting(0..<lineFeed - 1))
        buffer.consume(lineFeed + 1)
        return size
    }

    private func size(_ line: Span<UInt8>) throws(MessageRefusal) -> Int {
        var size = 0
        var index = 0
        while index < line.count, let digit = line[index].hexadecimalValue {
            // 15 digits fit 60 bits.
            guard index < 15 else { throw MessageRefusal("A chunk is too large.") }
            size = size << 4 | Int(digit)
            index &+= 1
        }
        guard index > 0, index == line.count || line[index] == UInt8(ascii: ";"), line.firstControl(from: index) == line.count else {
            throw MessageRefusal("A chunk has a malformed size.")
        }
        return size
    }

    private func takeLineEnd(_ buffer: ByteBuffer) throws(MessageRefusal) -> Bool {
        if buffer.count > 0, buffer[0] != 0x0D { throw MessageRefusal("A chunk does not end where its size says.") }
        guard buffer.count >= 2 else { return false }
        guard buffer[1] == 0x0A else { throw MessageRefusal("A chunk does not end where its size says.") }
        buffer.consume(2)
        return true
    }
}

extension ByteBuffer {
    /// Appends one chunk of the chunked coding; `data` must not be empty, since an empty chunk would end the body.
    public func append(chunk data: Span<UInt8>) {
        append(hexadecimal: data.count)
        append("\r\n")
        append(data)
        append("\r\n")
    }

    private func append(hexadecimal number: Int) {
        var shift = (Int.bitWidth - number.leadingZeroBitCount + 3) / 4 * 4
        while shift > 0 {
            shift -= 4
            append(hexadecimalDigit: UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
