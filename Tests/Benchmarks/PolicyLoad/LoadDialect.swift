import Bytes

/// What a client of the policy daemon says and hears, in one of the dialects that have many questions under way on one connection.
protocol LoadDialect: Sendable {
    /// What the client says first.
    var greeting: [UInt8] { get throws }
    /// How many different questions there are, one for each token.
    var questionCount: Int { get }
    /// Takes the daemon's greeting off `input`; false where it has not come whole.
    func takeGreeting(_ input: ByteBuffer) throws -> Bool
    /// Appends one of the questions, with an id that none before it had.
    mutating func appendQuestion(_ number: Int, to output: ByteBuffer) throws
    /// Takes an answer off `input`, and says whether it allows; nil where none has come whole.
    func takeAnswer(_ input: ByteBuffer) throws -> Bool?
}
