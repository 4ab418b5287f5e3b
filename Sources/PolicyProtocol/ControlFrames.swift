import Bytes

/// PING and PONG: whether the other side still answers. Either side may ask; the answer repeats the id.
public enum Ping {
    /// Appends a PING. Its id is the sender's to choose and has nothing to do with those of CHECKs.
    public static func encode(id: UInt32, to buffer: ByteBuffer) { encodeEmpty(.ping, id: id, to: buffer) }

    /// Appends the PONG that answers the PING with this id.
    public static func encodeAnswer(id: UInt32, to buffer: ByteBuffer) { encodeEmpty(.pong, id: id, to: buffer) }

    /// Judges the payload of a PING or a PONG: version 1 defines no field for it.
    ///
    /// - Throws: `fieldMalformed` or `fieldUnknown`. The connection cannot go on.
    public static func parse(_ payload: Span<UInt8>) throws(ProtocolError) {
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "PING or PONG") }
            position = field.end
            try skipUnknown(field.tag, in: "PING or PONG")
        }
    }

    private static func encodeEmpty(_ type: FrameType, id: UInt32, to buffer: ByteBuffer) {
        buffer.append(bigEndian: UInt32(type.rawValue) << 24)
        buffer.append(bigEndian: id)
    }
}

/// GOAWAY: the daemon wants to stop. It answers every CHECK that still arrives; the client sends no new one here.
public struct GoAway: Sendable, Equatable {
    private static let messageTag: UInt8 = 0x01

    /// Why, for the log: up to 1,024 bytes.
    public var message: String

    public init(message: String = "") { self.message = message }

    /// Appends the GOAWAY frame.
    public func encode(to buffer: ByteBuffer) throws(ProtocolError) {
        var frame = FrameWriter(.goAway, id: 0, to: buffer, maximumFrameBytes: ProtocolLimits.helloBytes)
        if !message.isEmpty {
            frame.field(Self.messageTag, utf8: cut(message, toBytes: ProtocolLimits.errorMessageBytes))
        }
        try frame.finish()
    }

    /// Reads a GOAWAY.
    ///
    /// - Throws: any `field…` error. The connection cannot go on.
    public static func parse(_ payload: Span<UInt8>) throws(ProtocolError) -> GoAway {
        var goAway = GoAway()
        var seen = SeenFields()
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "GOAWAY") }
            position = field.end
            switch field.tag {
            case messageTag:
                try seen.note(field.tag, "message")
                goAway.message = try messageText(field, in: payload)
            default:
                try skipUnknown(field.tag, in: "GOAWAY")
            }
        }
        return goAway
    }
}

/// ERROR: why the sender closes the connection, which it does at once after it.
public struct ErrorReport: Sendable, Equatable {
    private static let codeTag: UInt8 = 0x81
    private static let messageTag: UInt8 = 0x02

    /// The id of the frame at fault; 0 where there is none.
    public var id: UInt32
    /// One of ``ProtocolError/Code``, or one that a later version added.
    public var code: String
    /// What was found and what is accepted, for people: up to 1,024 bytes.
    public var message: String

    public init(_ error: ProtocolError, id: UInt32 = 0) {
        self.init(code: error.code.rawValue, message: error.message, id: id)
    }

    public init(code: String, message: String, id: UInt32 = 0) {
        self.id = id
        self.code = code
        self.message = message
    }

    /// Appends the ERROR frame.
    public func encode(to buffer: ByteBuffer) throws(ProtocolError) {
        var frame = FrameWriter(.error, id: id, to: buffer, maximumFrameBytes: ProtocolLimits.helloBytes)
        frame.field(Self.codeTag, utf8: code)
        if !message.isEmpty {
            frame.field(Self.messageTag, utf8: cut(message, toBytes: ProtocolLimits.errorMessageBytes))
        }
        try frame.finish()
    }

    /// Reads an ERROR.
    ///
    /// - Parameter id: the frame's id.
    /// - Throws: any `field…` error. The connection is over in any case.
    public static func parse(_ payload: Span<UInt8>, id: UInt32) throws(ProtocolError) -> ErrorReport {
        var report = ErrorReport(code: "", message: "", id: id)
        var seen = SeenFields()
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "ERROR") }
            position = field.end
            switch field.tag {
            case codeTag:
                try seen.note(field.tag, "code")
                guard FieldRules.isReason(field.value(in: payload)) else {
                    throw ProtocolError(.fieldMalformed, "a code that is not 1 to 64 lower-case letters, digits and hyphens")
                }
                report.code = field.value(in: payload).text
            case messageTag:
                try seen.note(field.tag, "message")
                report.message = try messageText(field, in: payload)
            default:
                try skipUnknown(field.tag, in: "ERROR")
            }
        }
        try seen.require(codeTag, "code")
        return report
    }
}

private func messageText(_ field: Field, in payload: Span<UInt8>) throws(ProtocolError) -> String {
    guard field.count <= ProtocolLimits.errorMessageBytes else { throw field.wrongSize("message", "0 to 1024") }
    return plainText(field.value(in: payload))
}
