import Bytes
import HTTPMessage
import PolicyProtocol

/// A verdict's operations on both messages' headers.
struct VerdictOperations {
    private(set) var request = HeaderOperations(.request)
    private(set) var response = HeaderOperations(.response)

    /// None.
    init() {}

    init(of verdict: VerdictMessage) {
        request = verdict.requestOperations
        response = verdict.responseOperations
    }
}

extension HeaderOperations {
    /// Whether they set or take out a field of this name, or one that a backend may take for it: it is not to go on beside them.
    func concerns(_ name: Span<UInt8>, in payload: Span<UInt8>) -> Bool {
        guard mayName(name.foldedNameBit) else { return false }
        var position = start
        while let operation = next(in: payload, from: &position) {
            if name.mayBeTaken(for: operation.name.bytes(in: payload)) { return true }
        }
        return false
    }

    /// - Parameter name: in lower case.
    func concerns(_ name: StaticString, in payload: Span<UInt8>) -> Bool {
        let name = unsafe Span(_unsafeStart: name.utf8Start, count: name.utf8CodeUnitCount)
        guard mayName(name.foldedNameBit) else { return false }
        var position = start
        while let operation = next(in: payload, from: &position) {
            if operation.name.bytes(in: payload).mayBeTaken(for: name) { return true }
        }
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
        var position = start
        while let operation = next(in: payload, from: &position) {
            guard operation.kind == .set else { continue }
            let name = operation.name.bytes(in: payload)
            if let excluded, name.equalsIgnoringCase(excluded) { continue }
            guard !mayRepeat(name.foldedNameBit) || !isSuperseded(name, from: position, payload) else { continue }
            body(name, operation.value.bytes(in: payload))
        }
    }

    /// Whether an operation behind `position` takes the place of one on `name`.
    private func isSuperseded(_ name: Span<UInt8>, from position: Int, _ payload: Span<UInt8>) -> Bool {
        var position = position
        while let later = next(in: payload, from: &position) {
            if name.mayBeTaken(for: later.name.bytes(in: payload)) { return true }
        }
        return false
    }
}
