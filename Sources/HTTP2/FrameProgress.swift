/// Follows where one frame of a connection ends and the next begins (RFC 9113 §3.4, §4.1): nghttp2 doesn't tell whether it has a part of one.
struct FrameProgress {
    private static let prefaceByteCount = 24
    private static let headByteCount = 9

    /// Bytes of the frame at hand that have yet to come; the client's preface counts as one.
    private var leftByteCount = prefaceByteCount
    /// Bytes of the next frame's head that have come.
    private var headCount = 0
    private var payloadByteCount = 0
    private(set) var frameNumber = 0

    /// Which frame has come in part; nil where all that came is whole.
    var unfinishedFrame: Int? { leftByteCount > 0 || headCount > 0 ? frameNumber : nil }

    mutating func pass(_ bytes: Span<UInt8>) {
        var index = 0
        while index < bytes.count {
            if leftByteCount > 0 {
                let count = min(leftByteCount, bytes.count &- index)
                leftByteCount &-= count
                index &+= count
                continue
            }
            if headCount == 0 {
                frameNumber &+= 1
                payloadByteCount = 0
                // Nearly every head comes whole.
                if bytes.count &- index >= Self.headByteCount {
                    leftByteCount = Int(bytes[index]) << 16 | Int(bytes[index &+ 1]) << 8 | Int(bytes[index &+ 2])
                    index &+= Self.headByteCount
                    continue
                }
            }
            if headCount < 3 { payloadByteCount = payloadByteCount << 8 | Int(bytes[index]) }
            headCount &+= 1
            index &+= 1
            if headCount == Self.headByteCount {
                headCount = 0
                leftByteCount = payloadByteCount
            }
        }
    }
}
