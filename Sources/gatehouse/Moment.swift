import Foundation
import Settings

extension Form where Value == Int64 {
    /// A moment, in milliseconds since 1970.
    static var moment: Form {
        Form(accepted: "Unix seconds, or a time as in 2026-01-02T03:04:05Z") { unixMilliseconds(at: $0) }
    }
}

/// Reads Unix seconds, perhaps with a fraction, or a time of RFC 3339. Nil for anything else, and for years that no clock shows.
func unixMilliseconds(at text: String) -> Int64? {
    let seconds = UnixTime(argument: text)?.seconds ?? (try? Date(text, strategy: .iso8601))?.timeIntervalSince1970
    guard let seconds, (0..<1e11).contains(seconds) else { return nil }
    return Int64((seconds * 1000).rounded())
}
