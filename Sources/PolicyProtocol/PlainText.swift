import Bytes

/// The text of a name or a message that a peer sent for people to read: what is not UTF-8, and every control character, is
/// replaced, so that a peer cannot write lines of its own into a log.
func plainText(_ bytes: Span<UInt8>) -> String {
    var text = String.UnicodeScalarView()
    for scalar in bytes.text.unicodeScalars {
        text.append(isControl(scalar) ? "\u{FFFD}" : scalar)
    }
    return String(text)
}

/// C0, DEL, C1, and the two separators that some readers take for line ends.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
    default: false
    }
}

/// The longest prefix of `text` that takes at most `byteCount` bytes of UTF-8.
func cut(_ text: String, toBytes byteCount: Int) -> String {
    guard text.utf8.count > byteCount else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: byteCount)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
}
