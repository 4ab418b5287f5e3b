import Bytes

/// The frames of RFC 9113 §6, in its order.
enum FrameType: UInt8 {
    case data = 0, headers, priority, resetStream, settings, pushPromise, ping, goAway, windowUpdate, continuation
}

/// What a frame's head says of it.
struct FrameHead {
    /// Nil for an unknown one.
    let type: FrameType?
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
        case .data: return head.payloadByteCount > 0 || head.endsStream || spend(.emptyData)
        case .headers:
            continuationCount = 0
            return true
        case .priority: return spend(.priority)
        case .resetStream: return spend(.reset)
        case .settings: return head.isAcknowledgement || spend(.settings)
        // The library refuses a client's.
        case .pushPromise: return true
        case .ping: return head.isAcknowledgement || spend(.ping)
        case .goAway: return true
        case .windowUpdate: return spend(.windowUpdate)
        case .continuation:
            continuationCount += 1
            guard continuationCount > limits.continuationsPerSection else { return true }
            condemn(.enhanceYourCalm, because: "more than \(limits.continuationsPerSection) CONTINUATION frames for one header section")
            return false
        // Skipped without a look.
        case nil: return true
        }
    }

    /// - Parameter isTrailer: whether it is not the first of its stream.
    func sectionBegan(_ id: Int32, isTrailer: Bool) {
        section.removeAll()
        guard !isTrailer else { return sectionOf = stream(id) }
        budget.earnForStream()
        sectionOf = open(id)
    }

    func receive(field name: Span<UInt8>, _ value: Span<UInt8>) {
        section.append(name, value, maximumBytes: limits.headerListBytes)
    }

    func sectionEnded(isTrailer: Bool, isEnd: Bool) {
        guard let stream = sectionOf else { return }
        sectionOf = nil
        if section.isTooLarge || stream.hasTooManyHeaders {
            stream.hasTooManyHeaders = true
            stream.isRequestComplete = isEnd
            stream.abandonRequest()
            return stream.answer(Self.headersTooLarge, isEnd: true)
        }
        if isTrailer {
            stream.trailerList = FieldList(section)
        } else {
            handler?.received(section, of: stream, isEnd: isEnd)
        }
        if isEnd { requestEnded(stream) }
    }

    private static let headersTooLarge = FieldList([(":status", "431")])

    func receive(content: Span<UInt8>, onStream id: Int32) {
        guard let stream = stream(id), !stream.hasTooManyHeaders else { return consume(content.count) }
        handler?.received(content, on: stream)
    }

    func contentEnded(_ id: Int32) {
        if let stream = stream(id) { requestEnded(stream) }
    }

    private func requestEnded(_ stream: ServerStream) {
        guard !stream.isRequestComplete else { return }
        stream.isRequestComplete = true
        handler?.received(endOf: stream)
    }

    func couldNotSend(headersOf id: Int32) {
        if let stream = stream(id) { reset(stream, .internalError) }
    }

    func streamClosed(_ id: Int32, _ code: ErrorCode) {
        guard let stream = remove(id) else { return }
        if sectionOf === stream { sectionOf = nil }
        if code == .noError, stream.isAnswered { budget.earnForRequest() }
        handler?.closed(stream, code)
        stream.context = nil
        waitingByteCount -= stream.unsent.count
        keep(stream)
    }

    /// Content goes out in a frame of its own.
    ///
    /// - Parameter isAll: whether the stream has no more of it for now.
    func wrote(_ byteCount: Int, isAll: Bool) {
        writtenByteCount &+= byteCount
        // Less than there is, and little: that is what a client makes of its windows who opens them byte by byte.
        if isAll || byteCount >= Self.leastAcknowledgedBytes { budget.earnForContent() }
    }

    private static let leastAcknowledgedBytes = 1024

    func sentEnd(ofStream id: Int32) {
        guard let stream = stream(id) else { return }
        stream.isEndSent = true
        if stream.isRequestAbandoned, !stream.isRequestComplete { stream.reset(.noError) }
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
