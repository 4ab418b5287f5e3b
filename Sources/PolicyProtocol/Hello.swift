import Bytes

/// Tags of the fields of both HELLOs.
enum HelloTag {
    static let magic: UInt8 = 0x81
    static let version: UInt8 = 0x82
    static let maximumFrameBytes: UInt8 = 0x83
    static let name: UInt8 = 0x04
    static let wantedHeader: UInt8 = 0x85
    static let ownedHeader: UInt8 = 0x86
    static let maximumInFlight: UInt8 = 0x87
}

let helloMagic: StaticString = "gatehouse"

/// What a client says first: the versions it speaks and the frame size it offers.
public struct ClientHello: Sendable, Equatable {
    /// 1 to 8 versions, in any order.
    public var versions: [UInt16]
    /// The largest frame the client is ready to send and receive, header included.
    public var maximumFrameBytes: Int
    /// What the client calls itself, for the daemon's log: up to 255 bytes.
    public var name: String

    public init(
        name: String, versions: [UInt16] = [ProtocolLimits.version],
        maximumFrameBytes: Int = ProtocolLimits.defaultFrameBytes
    ) {
        self.name = name
        self.versions = versions
        self.maximumFrameBytes = maximumFrameBytes
    }

    /// Appends the HELLO frame.
    ///
    /// - Throws: `fieldMalformed` or `frameTooLarge`, with the buffer unchanged.
    public func encode(to buffer: ByteBuffer) throws(ProtocolError) {
        try judgeVersions(versions)
        try judgeFrameBytes(maximumFrameBytes)
        var frame = FrameWriter(.hello, id: 0, to: buffer, maximumFrameBytes: ProtocolLimits.helloBytes)
        frame.field(HelloTag.magic, helloMagic)
        for version in versions { frame.field(HelloTag.version, bigEndian: version) }
        frame.field(HelloTag.maximumFrameBytes, bigEndian: UInt32(maximumFrameBytes))
        frame.field(HelloTag.name, utf8: cut(name, toBytes: ProtocolLimits.peerNameBytes))
        try frame.finish()
    }

    /// Reads a client's HELLO.
    ///
    /// - Parameter payload: the payload of a frame whose type is ``FrameType/hello``.
    /// - Throws: any `field…` error. The daemon sends it as an ERROR and closes.
    public static func parse(_ payload: Span<UInt8>) throws(ProtocolError) -> ClientHello {
        let fields = try HelloFields.parse(payload, from: .client)
        return ClientHello(name: fields.name, versions: fields.versions, maximumFrameBytes: fields.maximumFrameBytes)
    }

    /// The version and frame size that a daemon answers with.
    ///
    /// - Parameters:
    ///   - supported: the versions the daemon speaks.
    ///   - limit: the daemon's own frame size, within ``ProtocolLimits/frameBytes``.
    /// - Throws: `versionUnsupported`, where both share no version.
    public func agree(
        supported: [UInt16] = [ProtocolLimits.version], maximumFrameBytes limit: Int = ProtocolLimits.defaultFrameBytes
    ) throws(ProtocolError) -> (version: UInt16, maximumFrameBytes: Int) {
        guard let version = versions.filter(supported.contains).max() else {
            throw ProtocolError(
                .versionUnsupported, "a client that speaks the versions \(versions), this daemon speaks \(supported)")
        }
        return (version, min(maximumFrameBytes, limit))
    }
}

/// What the daemon answers: what it chose, which headers it wants to see and which it owns.
public struct DaemonHello: Sendable, Equatable {
    /// One of the versions the client offered.
    public var version: UInt16
    /// The frame size for both directions, header included; at most what the client offered.
    public var maximumFrameBytes: Int
    /// How many CHECKs the client may have unanswered at one time; at least 1.
    public var maximumInFlight: Int
    /// The headers a CHECK shall carry where the request has them; names in lower case.
    public var wantedHeaders: [String]
    /// The headers that no client may bring: the proxy removes them, in every spelling, from every request.
    public var ownedHeaders: [String]
    /// What the daemon calls itself, for the client's log: up to 255 bytes.
    public var name: String

    public init(
        name: String, version: UInt16 = ProtocolLimits.version,
        maximumFrameBytes: Int = ProtocolLimits.defaultFrameBytes,
        maximumInFlight: Int, wantedHeaders: [String], ownedHeaders: [String]
    ) {
        self.name = name
        self.version = version
        self.maximumFrameBytes = maximumFrameBytes
        self.maximumInFlight = maximumInFlight
        self.wantedHeaders = wantedHeaders
        self.ownedHeaders = ownedHeaders
    }

    /// Appends the HELLO frame.
    ///
    /// - Throws: `fieldMalformed` or `frameTooLarge`, with the buffer unchanged.
    public func encode(to buffer: ByteBuffer) throws(ProtocolError) {
        try judgeVersions([version])
        try judgeFrameBytes(maximumFrameBytes)
        try judgeInFlight(maximumInFlight)
        try judgeHeaderNames(wantedHeaders)
        try judgeHeaderNames(ownedHeaders)
        var frame = FrameWriter(.hello, id: 0, to: buffer, maximumFrameBytes: ProtocolLimits.helloBytes)
        frame.field(HelloTag.magic, helloMagic)
        frame.field(HelloTag.version, bigEndian: version)
        frame.field(HelloTag.maximumFrameBytes, bigEndian: UInt32(maximumFrameBytes))
        frame.field(HelloTag.name, utf8: cut(name, toBytes: ProtocolLimits.peerNameBytes))
        for name in wantedHeaders { frame.field(HelloTag.wantedHeader, utf8: name) }
        for name in ownedHeaders { frame.field(HelloTag.ownedHeader, utf8: name) }
        frame.field(HelloTag.maximumInFlight, bigEndian: UInt32(maximumInFlight))
        try frame.finish()
    }

    /// Reads the daemon's HELLO and holds it to the client's.
    ///
    /// - Parameters:
    ///   - payload: the payload of a frame whose type is ``FrameType/hello``.
    ///   - offer: the HELLO that the client sent.
    /// - Throws: any `field…` error, or `versionUnsupported`. The client closes the connection.
    public static func parse(_ payload: Span<UInt8>, answering offer: ClientHello) throws(ProtocolError) -> DaemonHello {
        let fields = try HelloFields.parse(payload, from: .daemon)
        let version = fields.versions[0]
        guard offer.versions.contains(version) else {
            throw ProtocolError(.versionUnsupported, "a daemon that chose version \(version) out of \(offer.versions)")
        }
        guard fields.maximumFrameBytes <= offer.maximumFrameBytes else {
            throw ProtocolError(
                .fieldMalformed,
                "a daemon that chose frames of \(fields.maximumFrameBytes) bytes, \(offer.maximumFrameBytes) were offered")
        }
        return DaemonHello(
            name: fields.name, version: version, maximumFrameBytes: fields.maximumFrameBytes,
            maximumInFlight: fields.maximumInFlight, wantedHeaders: fields.wantedHeaders,
            ownedHeaders: fields.ownedHeaders)
    }
}
