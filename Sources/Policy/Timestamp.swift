import Bytes

/// Appends a moment as ISO 8601 with milliseconds in UTC, as in `2024-11-19T12:00:00.000Z`.
///
/// - Parameter unixSeconds: from 1970 to the end of 9999; what lies outside is taken to the nearer end.
func appendTimestamp(unixSeconds: Int64, to text: inout [UInt8]) {
    let seconds = min(max(unixSeconds, 0), 253_402_300_799)
    let bytes = Timestamp(unixMilliseconds: seconds * 1000).bytes
    for index in bytes.indices { text.append(bytes[index]) }
}
