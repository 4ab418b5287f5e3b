import Bytes

/// Which side a HELLO comes from: the fields it needs and may have differ.
enum HelloSender {
    case client
    case daemon
}

/// The fields of a HELLO of either side, read and judged.
struct HelloFields {
    var versions: [UInt16] = []
    var maximumFrameBytes = 0
    var name = ""
    var wantedHeaders: [String] = []
    var ownedHeaders: [String] = []
    var maximumInFlight = 0

    static func parse(_ payload: Span<UInt8>, from sender: HelloSender) throws(ProtocolError) -> HelloFields {
        var fields = HelloFields()
        var seen = SeenFields()
        var position = 0
        while position < payload.count {
            guard let field = Field.at(position, in: payload) else { throw truncatedField(at: position, in: "HELLO") }
            guard position > 0 || (field.tag == HelloTag.magic && field.value(in: payload).equals(helloMagic)) else {
                throw ProtocolError(.fieldMalformed, "a HELLO whose first field is not the magic value gatehouse")
            }
            position = field.end
            switch (field.tag, sender) {
            case (HelloTag.wantedHeader, .daemon):
                fields.wantedHeaders.append(field.value(in: payload).text)
            case (HelloTag.ownedHeader, .daemon):
                fields.ownedHeaders.append(field.value(in: payload).text)
            case (HelloTag.maximumInFlight, .daemon):
                try seen.note(field.tag, "maximum in flight")
                fields.maximumInFlight = Int(try field.uint32(in: payload, "maximum in flight"))
            default:
                try fields.readCommon(field, in: payload, &seen)
            }
        }
        try fields.judge(from: sender, seen)
        return fields
    }

    private mutating func readCommon(
        _ field: Field, in payload: Span<UInt8>, _ seen: inout SeenFields
    ) throws(ProtocolError) {
        switch field.tag {
        case HelloTag.magic:
            try seen.note(field.tag, "magic value")
        case HelloTag.version:
            versions.append(try field.uint16(in: payload, "version"))
            try judgeVersions(versions)
        case HelloTag.maximumFrameBytes:
            try seen.note(field.tag, "maximum frame size")
            maximumFrameBytes = Int(try field.uint32(in: payload, "maximum frame size"))
            try judgeFrameBytes(maximumFrameBytes)
        case HelloTag.name:
            try seen.note(field.tag, "name")
            guard field.count <= ProtocolLimits.peerNameBytes else { throw field.wrongSize("name", "0 to 255") }
            name = plainText(field.value(in: payload))
        default:
            try skipUnknown(field.tag, in: "HELLO")
        }
    }

    private func judge(from sender: HelloSender, _ seen: SeenFields) throws(ProtocolError) {
        try seen.require(HelloTag.magic, "magic value")
        try judgeVersions(versions)
        try seen.require(HelloTag.maximumFrameBytes, "maximum frame size")
        guard sender == .daemon else { return }
        guard versions.count == 1 else {
            throw ProtocolError(.fieldRepeated, "a daemon that chose \(versions.count) versions, it chooses one")
        }
        try seen.require(HelloTag.maximumInFlight, "maximum in flight")
        try judgeInFlight(maximumInFlight)
        try judgeHeaderNames(wantedHeaders)
        try judgeHeaderNames(ownedHeaders)
    }
}

func judgeVersions(_ versions: [UInt16]) throws(ProtocolError) {
    guard !versions.isEmpty else { throw ProtocolError(.fieldMissing, "no version, at least one is required") }
    guard versions.count <= ProtocolLimits.versionsPerHello, !versions.contains(0) else {
        throw ProtocolError(
            .fieldMalformed, "the versions \(versions), accepted: 1 to \(ProtocolLimits.versionsPerHello), none of them 0")
    }
}

func judgeFrameBytes(_ byteCount: Int) throws(ProtocolError) {
    guard ProtocolLimits.frameBytes.contains(byteCount) else {
        throw ProtocolError(
            .fieldMalformed, "a maximum frame size of \(byteCount) bytes, accepted: \(ProtocolLimits.frameBytes)")
    }
}

func judgeInFlight(_ count: Int) throws(ProtocolError) {
    guard count >= 1, count <= Int(UInt32.max) else {
        throw ProtocolError(.fieldMalformed, "\(count) as maximum in flight, accepted: 1 to \(UInt32.max)")
    }
}

/// Judges the names a HELLO lists under one tag. A name may stand once: a client would send its header as often.
func judgeHeaderNames(_ names: [String]) throws(ProtocolError) {
    guard names.count <= ProtocolLimits.headerNamesPerHello else {
        throw ProtocolError(.fieldMalformed, "more than \(ProtocolLimits.headerNamesPerHello) header names of a kind in a HELLO")
    }
    var seen: Set<String> = []
    for name in names {
        guard FieldRules.isHeaderName(Array(name.utf8).span) else {
            throw ProtocolError(
                .fieldMalformed, "the header name \(name.debugDescription), accepted: a lower-case token of 1 to 255 bytes")
        }
        guard seen.insert(name).inserted else { throw ProtocolError(.fieldRepeated, "the header name \(name) twice in a HELLO") }
    }
}
