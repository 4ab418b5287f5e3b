import Bytes
import HTTPMessage
import PolicyProtocol

/// A verdict's operations on both messages' headers.
struct VerdictOperations {
    private(set) var request = HeaderOperations()
    private(set) var response = HeaderOperations()

    mutating func load(_ payload: Span<UInt8>) {
        clear()
        var position = 0
        while let (side, operation) = VerdictMessage.nextOperation(in: payload, from: &position) {
            switch side {
            case .request: request.add(operation)
            case .response: response.add(operation)
            }
        }
    }

    mutating func clear() {
        request.clear()
        response.clear()
    }
}

/// A verdict's operations on one message's headers, as ranges of the verdict's payload.
struct HeaderOperations {
    private var operations: [HeaderOperation] = []
    /// A bit for each length of a name that occurs.
    private var lengths: UInt64 = 0

    mutating func add(_ operation: HeaderOperation) {
        operations.append(operation)
        lengths |= Self.bit(of: operation.name.count)
    }

    mutating func clear() {
        guard !operations.isEmpty else { return }
        operations.removeAll(keepingCapacity: true)
        lengths = 0
    }

    /// Whether a field of this name goes: it is set anew or taken out, or a backend may take it for one that is.
    func replace(_ name: Span<UInt8>, in payload: Span<UInt8>) -> Bool {
        guard lengths & Self.bit(of: name.count) != 0 else { return false }
        for operation in operations where name.mayBeTaken(for: operation.name.bytes(in: payload)) { return true }
        return false
    }

    func replace(_ name: StaticString, in payload: Span<UInt8>) -> Bool {
        guard !operations.isEmpty else { return false }
        for operation in operations where operation.name.bytes(in: payload).equalsIgnoringCase(name) { return true }
        return false
    }

    /// Appends the fields that are set. Of several operations on one name the last one counts, since they apply in their order.
    ///
    /// - Parameter excluded: the name, in lower case, of a field that is not wanted.
    func append(to head: ByteBuffer, from payload: Span<UInt8>, but excluded: StaticString? = nil) {
        forEachThatSets(payload, but: excluded) { name, value in head.append(field: name, value) }
    }

    /// Calls `body` with the name and the value of each field that is set.
    ///
    /// - Parameter excluded: as of ``append(to:from:but:)``.
    @inline(__always)
    func forEachThatSets(_ payload: Span<UInt8>, but excluded: StaticString? = nil, _ body: (Span<UInt8>, Span<UInt8>) -> Void) {
        for index in operations.indices where operations[index].kind == .set {
            let operation = operations[index]
            let name = operation.name.bytes(in: payload)
            if let excluded, name.equalsIgnoringCase(excluded) { continue }
            guard !isSuperseded(index, name, payload) else { continue }
            body(name, operation.value.bytes(in: payload))
        }
    }

    private func isSuperseded(_ index: Int, _ name: Span<UInt8>, _ payload: Span<UInt8>) -> Bool {
        for later in index + 1..<operations.count where operations[later].name.count == name.count {
            if name.mayBeTaken(for: operations[later].name.bytes(in: payload)) { return true }
        }
        return false
    }

    private static func bit(of length: Int) -> UInt64 { 1 << UInt64(min(length, 63)) }
}

extension ByteBuffer {
    /// Appends one field line.
    func append(field name: Span<UInt8>, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }

    /// Appends one field line.
    func append(field name: StaticString, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }
}
