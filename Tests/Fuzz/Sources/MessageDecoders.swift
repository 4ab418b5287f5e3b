import Bytes
import EnvoyProtocol
import HTTPMessage
import JSON
import JSONWebToken
import PolicyProtocol

/// The head of an HTTP/1.1 request, and its target.
struct RequestDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        let buffer = ByteBuffer(capacity: 256)
        buffer.append(bytes)
        var (scanner, head) = (HeadScanner(), RequestHead())
        guard let end = try? scanner.findEnd(in: buffer.bytes, limits: HeadLimits()) else { return }
        guard (try? head.parse(buffer.bytes, byteCount: end, limits: HeadLimits())) != nil,
            let target = try? RequestTarget.normalize(head, in: buffer)
        else { return }
        let read = buffer.bytes
        let path = target.path.bytes(in: read)
        for index in path.indices { precondition(path[index] > 0x20 && path[index] < 0x7F, "a path with a byte \(path[index])") }
        for field in head.fields {
            let value = field.value.bytes(in: read)
            for index in value.indices { precondition(value[index] != 0x0D && value[index] != 0x0A && value[index] != 0, "a value with a line end") }
        }
    }
}

/// The head of an HTTP/1.1 response.
struct ResponseDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        var (scanner, head) = (HeadScanner(), ResponseHead())
        guard let end = try? scanner.findEnd(in: bytes, limits: HeadLimits()) else { return }
        try? head.parse(bytes, byteCount: end, answering: .get)
    }
}

/// A chunked body.
struct ChunkedBodyDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        let buffer = ByteBuffer(capacity: 256)
        buffer.append(bytes)
        var decoder = ChunkedDecoder(limits: HeadLimits())
        var steps = 0
        while case .data(let count)? = try? decoder.next(in: buffer) {
            precondition(count > 0 && count <= buffer.count, "\(count) bytes of data out of \(buffer.count)")
            buffer.consume(count)
            decoder.took(count)
            steps += 1
            precondition(steps <= bytes.count, "steps that take nothing")
        }
    }
}

/// The messages of Envoy's services, which come in frames of gRPC.
struct EnvoyDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        var request = CheckRequest()
        if (try? request.read(bytes, 0..<bytes.count)) != nil {
            for range in [request.method, request.path, request.host, request.sourceAddress] + request.headers.flatMap({ [$0.name, $0.value] }) {
                _ = bytes.extracting(range)
            }
        }
        if let request = try? RateLimitRequest(bytes, 0..<bytes.count) {
            for entry in request.descriptors.flatMap(\.entries) { _ = (bytes.extracting(entry.key), bytes.extracting(entry.value)) }
        }
        if let service = try? HealthCheck.service(bytes, 0..<bytes.count) { _ = bytes.extracting(service) }
    }
}

/// What a client of our own protocol reads: a verdict's payload, and a greeting's.
struct VerdictDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        if let verdict = try? VerdictMessage.parse(bytes) {
            _ = verdict.reason.bytes(in: bytes).text
            judge(verdict.requestOperations, of: .request, in: bytes)
            judge(verdict.responseOperations, of: .response, in: bytes)
        }
        _ = try? DaemonHello.parse(bytes, answering: ClientHello(name: "fuzz"))
    }

    /// What was noted while the verdict was judged leads to all of its operations, and each is one that it may carry out.
    private func judge(_ noted: HeaderOperations, of side: OperationSide, in bytes: Span<UInt8>) {
        var (position, otherPosition) = (noted.start, 0)
        while let operation = VerdictMessage.nextOperation(on: side, in: bytes, from: &otherPosition) {
            precondition(noted.next(in: bytes, from: &position) == operation, "an operation that was not noted")
            let (name, value) = (operation.name.bytes(in: bytes), operation.value.bytes(in: bytes))
            precondition(noted.mayName(name.foldedNameBit), "a name that was not noted")
            precondition(FieldRules.isHeaderName(name) && FieldRules.mayBeOperatedOn(name), "an operation on a name that none may have")
            for index in value.indices {
                precondition(value[index] >= 0x20 && value[index] != 0x7F || value[index] == 0x09, "a value with a control byte")
            }
        }
        precondition(noted.next(in: bytes, from: &position) == nil, "more operations than there are")
    }
}

/// A JSON text: what was read is the same again once it was written.
struct JSONDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) {
        guard let value = try? JSONValue.parse(bytes) else { return }
        let written = value.serialized
        guard written.count <= 65_536 else { return }
        precondition((try? JSONValue.parse(written.span)) == value, "read as another value once it was written")
    }
}

/// A token, whose header is read before its signature is checked.
struct TokenDecoder: Decoding {
    private let verifier: TokenVerifier

    init() throws {
        let key = try VerificationKey(secret: Array("end-to-end-secret-of-more-than-32-bytes".utf8))
        verifier = TokenVerifier([TrustedIssuer(name: "one", keys: KeySet(key)), TrustedIssuer(name: "two", issuer: "two", keys: KeySet(key))])
    }

    func decode(_ bytes: Span<UInt8>) { _ = try? verifier.verify(bytes, nowUnixSeconds: 1_767_225_600) }
}

/// Keys as a file or an issuer's address gives them: PEM, a JWK, a JWK Set.
struct KeysDecoder: Decoding {
    func decode(_ bytes: Span<UInt8>) { _ = try? KeySet(bytes.array) }
}
