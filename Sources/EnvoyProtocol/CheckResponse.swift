import Bytes

/// `google.rpc.Code`: of a call, and of the decision that a `CheckResponse` carries.
public enum GRPCStatusCode: UInt8, Sendable {
    case ok = 0
    case invalidArgument = 3
    case notFound = 5
    case permissionDenied = 7
    case resourceExhausted = 8
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case unauthenticated = 16
}

/// Writes an `envoy.service.auth.v3.CheckResponse`: the decision, one of the two answers, and the metadata.
public struct CheckResponseWriter {
    /// The fields of the message, by the names that they have in Envoy's `external_auth.proto`.
    private enum ResponseField {
        static let status: UInt8 = 1, deniedResponse: UInt8 = 2, okResponse: UInt8 = 3, dynamicMetadata: UInt8 = 4
    }

    /// Of a `DeniedHttpResponse`. Its headers have the number that those of an `OkHttpResponse` have.
    private enum DeniedField {
        static let status: UInt8 = 1, body: UInt8 = 3
    }

    /// Of an `OkHttpResponse`.
    private enum OkField {
        static let headers: UInt8 = 2, headersToRemove: UInt8 = 5, responseHeadersToAdd: UInt8 = 6
        static let queryParametersToSet: UInt8 = 7, queryParametersToRemove: UInt8 = 8
    }

    /// Of a `HeaderValueOption` (`base.proto`).
    private enum OptionField {
        static let header: UInt8 = 1, appendAction: UInt8 = 3, keepEmptyValue: UInt8 = 4
    }

    /// Whether a value was left out since it is not UTF-8, which the message's strings must be: the response must not be sent.
    public private(set) var hasUnfitValue = false
    private let output: ByteBuffer

    /// - Parameter code: anything but `ok` denies.
    public init(_ code: GRPCStatusCode, to output: ByteBuffer) {
        self.output = output
        output.append(field: ResponseField.status) { $0.append(field: 1, varint: UInt64(code.rawValue)) }
    }

    /// Writes a `DeniedHttpResponse`.
    public mutating func denied(status: UInt16, body: Span<UInt8>, headers: (inout Fields) -> Void) {
        var fields = Fields(to: output)
        // A body is content alone, of which the readable part is worth having.
        let text = body.isUTF8 ? body.array : Array(body.text.utf8)
        output.append(field: ResponseField.deniedResponse) { output in
            output.append(field: DeniedField.status) { $0.append(field: 1, varint: UInt64(status)) }
            headers(&fields)
            output.append(field: DeniedField.body, text.span)
        }
        hasUnfitValue = fields.hasUnfitValue
    }

    /// Writes an `OkHttpResponse`.
    public mutating func allowed(_ content: (inout Fields) -> Void) {
        var fields = Fields(to: output)
        output.append(field: ResponseField.okResponse) { _ in content(&fields) }
        hasUnfitValue = fields.hasUnfitValue
    }

    /// Writes the dynamic metadata, a `google.protobuf.Struct` of strings.
    public func metadata(_ fields: [(name: StaticString, value: [UInt8])]) { Self.write(metadata: fields, to: output) }

    /// Writes the dynamic metadata alone, for a response that is put together of parts.
    public static func write(metadata fields: [(name: StaticString, value: [UInt8])], to output: ByteBuffer) {
        output.append(field: ResponseField.dynamicMetadata) { output in
            for field in fields {
                output.append(field: 1) { entry in
                    entry.append(field: 1, field.name)
                    entry.append(field: 2) { $0.append(field: 3, field.value.span) }
                }
            }
        }
    }

    /// What an answer of either kind says of headers and the query.
    public struct Fields {
        private let output: ByteBuffer
        /// Whether a value was left out since it is not UTF-8.
        public private(set) var hasUnfitValue = false

        public init(to output: ByteBuffer) { self.output = output }

        /// Appends what was written as such fields before.
        public func append(written fields: Span<UInt8>) { output.append(fields) }

        /// Replaces a header: of the request in an allow, of the answer in a denial.
        public mutating func setHeader(_ name: Span<UInt8>, _ value: Span<UInt8>) { option(OkField.headers, name, value) }

        /// Takes a header out of the request.
        public func removeHeader(_ name: Span<UInt8>) { output.append(field: OkField.headersToRemove, name) }

        /// Replaces a header of the upstream's answer.
        public mutating func setResponseHeader(_ name: Span<UInt8>, _ value: Span<UInt8>) { option(OkField.responseHeadersToAdd, name, value) }

        /// Replaces a header of the upstream's answer.
        ///
        /// - Parameter append: appends the value, which has `byteCount` bytes of ASCII.
        public func setResponseHeader(_ name: Span<UInt8>, byteCount: Int, _ append: (ByteBuffer) -> Void) {
            option(OkField.responseHeadersToAdd, name, valueByteCount: byteCount, append)
        }

        /// Replaces a parameter of the request's query.
        public func setQueryParameter(_ name: Span<UInt8>, _ value: Span<UInt8>) {
            output.append(field: OkField.queryParametersToSet) { parameter in
                parameter.append(field: 1, name)
                parameter.append(field: 2, value)
            }
        }

        /// Takes a parameter out of the request's query, however often it is there.
        public func removeQueryParameter(_ name: Span<UInt8>) { output.append(field: OkField.queryParametersToRemove, name) }

        private mutating func option(_ number: UInt8, _ name: Span<UInt8>, _ value: Span<UInt8>) {
            guard value.isUTF8 else { return hasUnfitValue = true }
            option(number, name, valueByteCount: value.count) { $0.append(value) }
        }

        private func option(_ number: UInt8, _ name: Span<UInt8>, valueByteCount: Int, _ append: (ByteBuffer) -> Void) {
            let headerByteCount = ByteBuffer.fieldByteCount(name.count) + ByteBuffer.fieldByteCount(valueByteCount)
            let isEmpty = valueByteCount == 0
            guard isEmpty || headerByteCount > 0x7F - 4 else {
                return shortOption(number, name, valueByteCount: valueByteCount, headerByteCount: headerByteCount, append)
            }
            output.append(number << 3 | 2)
            output.append(varint: UInt64(ByteBuffer.fieldByteCount(headerByteCount) + (isEmpty ? 4 : 2)))
            output.append(OptionField.header << 3 | 2)
            output.append(varint: UInt64(headerByteCount))
            output.append(field: 1, name)
            output.append(field: 2, byteCount: valueByteCount, append)
            // OVERWRITE_IF_EXISTS_OR_ADD: what is appended to would leave the client's own value in.
            output.append(field: OptionField.appendAction, varint: 2)
            // Else Envoy leaves a header out whose value is empty, and the client's own stays.
            if isEmpty { output.append(field: OptionField.keepEmptyValue, varint: 1) }
        }

        /// As ``option(_:_:valueByteCount:_:)``, where each length is one byte: tags and lengths are then known together.
        private func shortOption(
            _ number: UInt8, _ name: Span<UInt8>, valueByteCount: Int, headerByteCount: Int, _ append: (ByteBuffer) -> Void
        ) {
            output.append(messageOf: headerByteCount + 4, field: number)
            output.append(messageOf: headerByteCount, field: OptionField.header)
            output.append(messageOf: name.count, field: 1)
            output.append(name)
            output.append(messageOf: valueByteCount, field: 2)
            let start = output.count
            append(output)
            precondition(output.count - start == valueByteCount, "a value as long as its length says")
            output.append(bigEndian: UInt16(OptionField.appendAction << 3) << 8 | 2)
        }
    }
}
