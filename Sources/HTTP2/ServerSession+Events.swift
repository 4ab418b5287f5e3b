import Bytes

/// What a frame's head says of it.
struct FrameHead {
    let type: UInt8
    let flags: UInt8
    let payloadByteCount: Int

    var isAcknowledgement: Bool { flags & 0x1 != 0 }
    var endsStream: Bool { flags & 0x1 != 0 }
}

/// What the frames bring about.
extension ServerSession {
    /// - Returns: false where the client floods; the session is then over.
    func admit(_ head: FrameHead) -> Bool {
        switch head.type {
        case 0x0: return head.payloadByteCount > 0 || head.endsStream || spend(.emptyData)
        case 0x1:
            continuationCount = 0
            return true
        case 0x3: return spend(.reset)
        case 0x4: return head.isAcknowledgement || spend(.settings)
        case 0x6: return head.isAcknowledgement || spend(.ping)
        case 0x7: return true
        case 0x8: return spend(.windowUpdate)
        case 0x9:
            continuationCount += 1
            guard continuationCount > limits.continuationsPerSection else { return true }
            condemn(.enhanceYourCalm, because: "more than \(limits.continuationsPerSection) CONTINUATION frames for one header section")
            return false
        case 0x2: return spend(.priority)
        // Frames of unknown types are skipped without a look.
        default: return true
        }
    }

    func sectionBegan(_ id: Int32) {
        sectionOf = streams[id] ?? open(id)
    }

    private func open(_ id: Int32) -> ServerStream {
        let stream = ServerStream(id: id, session: self)
        streams[id] = stream
        budget.earnForStream()
        return stream
    }

    func receive(field name: Span<UInt8>, _ value: Span<UInt8>, isTrailer: Bool) {
        sectionOf?.receive(field: name, value, isTrailer: isTrailer, maximumBytes: limits.headerListBytes)
    }

    func sectionEnded(_ id: Int32, isTrailer: Bool, isEnd: Bool) {
        sectionOf = nil
        guard let stream = streams[id] else { return }
        if stream.hasTooManyHeaders {
            stream.isRequestOver = isEnd
            stream.abandonRequest()
            return stream.answer(Self.headersTooLarge, isEnd: true)
        }
        if !isTrailer { handler?.received(headersOf: stream, isEnd: isEnd) }
        if isEnd { requestEnded(stream) }
    }

    private static let headersTooLarge = FieldList([(":status", "431")])

    func receive(content: Span<UInt8>, onStream id: Int32) {
        guard let stream = streams[id], !stream.hasTooManyHeaders else { return consume(content.count) }
        handler?.received(content, on: stream)
    }

    func contentEnded(_ id: Int32) {
        if let stream = streams[id] { requestEnded(stream) }
    }

    private func requestEnded(_ stream: ServerStream) {
        guard !stream.isRequestOver else { return }
        stream.isRequestOver = true
        handler?.received(endOf: stream)
    }

    func streamClosed(_ id: Int32, _ code: ErrorCode) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        if sectionOf === stream { sectionOf = nil }
        if code == .noError, stream.isAnswered { budget.earnForRequest() }
        handler?.closed(stream, code)
        stream.context = nil
        unsentByteCount -= stream.unsent.count
        giveBuffer(stream.unsent)
    }

    func sentEnd(ofStream id: Int32) {
        guard let stream = streams[id] else { return }
        stream.isEndSent = true
        if stream.isRequestAbandoned, !stream.isRequestOver { stream.reset(.noError) }
    }

    /// A client that makes the server reset its streams costs as much as one that resets them itself.
    func sentReset(_ code: ErrorCode) {
        if code != .noError { _ = spend(.reset) }
    }

    private func spend(_ kind: FrameBudget.Kind) -> Bool {
        guard !budget.spend(kind) else { return true }
        condemn(.enhanceYourCalm, because: "more than \(limits.idleFrames) \(kind.name) frames ahead of its requests")
        return false
    }
}
