/// Why an SPOP connection can't go on: what a DISCONNECT frame says (SPOE.txt §3.5).
struct SPOPError: Error, Equatable, CustomStringConvertible {
    enum Code: UInt32, Sendable {
        case normal = 0
        case timeout = 2
        case frameTooBig = 3
        case frameInvalid = 4
        case versionMissing = 5
        case frameSizeMissing = 6
        case capabilitiesMissing = 7
        case versionUnsupported = 8
        case frameSizeInvalid = 9
        case fragmented = 10
        case exhausted = 13
    }

    let code: Code
    /// What was found and what is accepted, for people.
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    var description: String { "\(code.rawValue): \(message)" }
}
