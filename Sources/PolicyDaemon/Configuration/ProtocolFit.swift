import Bytes
import Policy
import PolicyProtocol
import Settings

extension PolicyRules {
    /// Reports what has no room in our own protocol: every client would be turned away, or refuse the verdict.
    func reportUnfit(_ root: Section) {
        let most = ProtocolLimits.headerNamesPerHello
        for (names, verb) in [(wantedHeaders, "look at"), (ownedHeaders, "set")] where names.count > most {
            root.report("rules and credentials together \(verb) \(names.count) different headers of requests", accepted: "at most \(most)")
        }
        // Backends that fold names would read a client's header of the folded name as this one, and it could not be told apart.
        for name in ownedHeaders where name.utf8.contains(where: { $0 != $0.foldedInHeaderName }) {
            root.report("the header \(name.debugDescription) that a rule or credential sets has \"_\" or \".\" in its name", accepted: "names with \"-\" in their place")
        }
        let hello = DaemonHello(
            name: "gatehouse-policyd", maximumInFlight: 1, wantedHeaders: Array(wantedHeaders.prefix(most)),
            ownedHeaders: Array(ownedHeaders.prefix(most)))
        do throws(ProtocolError) {
            try hello.encode(to: ByteBuffer(capacity: ProtocolLimits.helloBytes))
        } catch {
            root.report(
                "the names of all headers that rules and credentials look at or set are too long for a HELLO together",
                accepted: "about \(ProtocolLimits.helloBytes) bytes")
        }
        for rule in rules {
            let changes = mostHeaderChanges(of: rule)
            guard changes > ProtocolLimits.operationsPerVerdict else { continue }
            root.report(
                "rules",
                "has \(rule.name.debugDescription), whose verdicts may change \(changes) headers, those that remove credentials and tell of limits included",
                accepted: "at most \(ProtocolLimits.operationsPerVerdict)")
        }
    }
}
