import JSON

extension JSONValue {
    /// Whether both are the same value: numbers by what they amount to, exactly, however they are written (`1`, `1.0`, `1e0`);
    /// strings byte by byte; members of objects in any order. Values of different types are never equal.
    func isSameValue(as other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left.text == right.text || DecimalNumber(left) == DecimalNumber(right)
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.isSameValue(as: $1) }
        case (.object(let left), .object(let right)):
            left.members.count == right.members.count
                && left.members.allSatisfy { member in right[member.name]?.isSameValue(as: member.value) ?? false }
        default: false
        }
    }
}

/// A number as its digits, without zeros at either end, and a power of ten: equal numbers have one form, whatever their size.
private struct DecimalNumber: Equatable {
    private var isNegative = false
    private var digits: [UInt8] = []
    /// Of the last digit.
    private var exponent = 0

    init(_ number: JSONNumber) {
        var fractionDigits = 0
        var isInFraction = false
        var rest = Array(number.text.utf8)[...]
        if rest.first == UInt8(ascii: "-") {
            isNegative = true
            rest.removeFirst()
        }
        while let byte = rest.first, byte == UInt8(ascii: ".") || Characters.isDigit(byte) {
            if byte == UInt8(ascii: ".") {
                isInFraction = true
            } else {
                if isInFraction { fractionDigits += 1 }
                if byte != UInt8(ascii: "0") || !digits.isEmpty { digits.append(byte) }
            }
            rest.removeFirst()
        }
        // An exponent beyond 64 bits is taken to the nearest end: such a number equals nothing that anyone configures.
        let written = rest.isEmpty ? 0 : Self.exponent(rest.dropFirst())
        exponent = written.subtractingReportingOverflow(fractionDigits).partialValue
        while digits.last == UInt8(ascii: "0") {
            digits.removeLast()
            exponent &+= 1
        }
        if digits.isEmpty {
            isNegative = false
            exponent = 0
        }
    }

    private static func exponent(_ text: ArraySlice<UInt8>) -> Int {
        let digits = text.first == UInt8(ascii: "+") ? text.dropFirst() : text
        return Int(String(decoding: digits, as: UTF8.self)) ?? (digits.first == UInt8(ascii: "-") ? Int.min / 2 : Int.max / 2)
    }
}
