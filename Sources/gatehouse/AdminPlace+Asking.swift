import ArgumentParser
import Settings

extension AdminPlace {
    /// - Throws: the exit status where nobody answers, after it has been said.
    func replyOrExit(_ method: String, _ path: String) throws -> AdminReply {
        do {
            return try ask(method, path)
        } catch {
            StandardError.print("gatehouse: nobody answers on \(self): \(error)")
            throw ExitCode(2)
        }
    }
}

extension AdminReply {
    /// The answer's lines, without the end of the last one.
    var text: String {
        body.split(separator: "\n", omittingEmptySubsequences: false).dropLast(body.hasSuffix("\n") ? 1 : 0).map { printable(String($0)) }
            .joined(separator: "\n")
    }
}
