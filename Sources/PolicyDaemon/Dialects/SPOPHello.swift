import Bytes

/// HAPROXY-HELLO, and the AGENT-HELLO that answers it (SPOE.txt §3.2.4, §3.2.5).
struct SPOPHello: Equatable, Sendable {
    /// A HELLO has some hundred bytes; it comes before any size is agreed upon.
    static let byteCount = 4_096
    /// What both sides must accept at least.
    static let leastFrameBytes = 256

    private(set) var maximumFrameBytes = 0
    private(set) var offersPipelining = false
    private(set) var isHealthCheck = false
    private(set) var engine = ""

    static func parse(_ bytes: Span<UInt8>, _ payload: Range<Int>) throws(SPOPError) -> SPOPHello {
        var hello = SPOPHello()
        var reader = SPOPReader(payload)
        var (hasVersion, hasCapabilities) = (false, false)
        while !reader.isAtEnd {
            let name = bytes.extracting(try reader.string(bytes))
            let value = try reader.value(bytes)
            if name.equals("supported-versions"), case .string(let versions) = value {
                hasVersion = true
                guard list(bytes.extracting(versions), has: { $0.count > 2 && $0.extracting(0..<2).equals("2.") }) else {
                    throw SPOPError(.versionUnsupported, "the versions \(bytes.extracting(versions).text), accepted: 2.0")
                }
            } else if name.equals("max-frame-size"), case .integer(let count) = value {
                guard count >= UInt64(leastFrameBytes), count <= UInt64(UInt32.max) else {
                    throw SPOPError(.frameSizeInvalid, "a frame size of \(count) bytes, accepted: \(leastFrameBytes) and more")
                }
                hello.maximumFrameBytes = Int(count)
            } else if name.equals("capabilities"), case .string(let capabilities) = value {
                hasCapabilities = true
                hello.offersPipelining = list(bytes.extracting(capabilities), has: { $0.equals("pipelining") })
            } else if name.equals("healthcheck"), case .bool(let isHealthCheck) = value {
                hello.isHealthCheck = isHealthCheck
            } else if name.equals("engine-id"), case .string(let engine) = value {
                hello.engine = bytes.extracting(engine).text
            }
        }
        guard hasVersion else { throw SPOPError(.versionMissing, "a HELLO without supported-versions") }
        guard hello.maximumFrameBytes > 0 else { throw SPOPError(.frameSizeMissing, "a HELLO without max-frame-size") }
        guard hasCapabilities else { throw SPOPError(.capabilitiesMissing, "a HELLO without capabilities") }
        return hello
    }

    /// Appends the answer, in which `async` and `fragmentation` are never chosen.
    func encodeAnswer(maximumFrameBytes: Int, to output: ByteBuffer) {
        let (version, pipelining) = (Array("2.0".utf8), Array("pipelining".utf8))
        output.append(.agentHello, SPOPFrameIDs()) { frame in
            frame.append(spopName: "version")
            frame.append(spopString: version.span)
            frame.append(spopName: "max-frame-size")
            frame.append(spopUInt32: UInt32(maximumFrameBytes))
            frame.append(spopName: "capabilities")
            frame.append(spopString: offersPipelining ? pipelining.span : Span())
        }
    }

    /// Whether an element of a comma-separated list, blanks taken off, is one that `isMeant` accepts.
    private static func list(_ list: Span<UInt8>, has isMeant: (Span<UInt8>) -> Bool) -> Bool {
        var start = 0
        while start <= list.count {
            var end = start
            while end < list.count, list[end] != UInt8(ascii: ",") { end &+= 1 }
            var (first, last) = (start, end)
            while first < last, list[first] == 0x20 { first &+= 1 }
            while last > first, list[last &- 1] == 0x20 { last &-= 1 }
            if isMeant(list.extracting(first..<last)) { return true }
            start = end &+ 1
        }
        return false
    }
}
