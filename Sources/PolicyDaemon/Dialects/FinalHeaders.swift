import Bytes
import PolicyProtocol

/// What a verdict's operations on one message come to: of several on one name the last counts. For proxies that are told headers
/// rather than operations.
struct FinalHeaders {
    private(set) var operations: [HeaderOperation] = []

    init(_ side: OperationSide, of payload: Span<UInt8>) {
        var position = 0
        while let operation = VerdictMessage.nextOperation(on: side, in: payload, from: &position) {
            if let index = index(of: operation.name.bytes(in: payload), in: payload) {
                operations[index] = operation
            } else {
                operations.append(operation)
            }
        }
    }

    /// - Parameter payload: what was read.
    func index(of name: Span<UInt8>, in payload: Span<UInt8>) -> Int? {
        for index in operations.indices where operations[index].name.bytes(in: payload).equals(name) { return index }
        return nil
    }
}

extension HeaderOperation {
    /// What the header is to be; nil where it is to be taken out.
    var newValue: FieldRange? { kind == .set ? value : nil }
}
