import Testing

@testable import EventLoop

@Suite struct `The descriptors that a process is started with` {
    private func read(_ variables: [String: String]) throws -> PassedDescriptors {
        try PassedDescriptors.read({ variables[$0] }, process: 20)
    }

    @Test func `are those that a service manager tells of`() throws {
        #expect(try read([:]) == PassedDescriptors())
        #expect(try read(["LISTEN_PID": "20", "LISTEN_FDS": "0"]) == PassedDescriptors())
        #expect(try read(["LISTEN_PID": "20", "LISTEN_FDS": "2"]).names == ["unknown", "unknown"])
        #expect(try read(["LISTEN_PID": "20", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:"]).names == ["a", ""])
    }

    @Test func `are another process's where that is named`() throws {
        #expect(try read(["LISTEN_PID": "30", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"]) == PassedDescriptors())
        #expect(try read(["LISTEN_FDS": "1"]) == PassedDescriptors())
    }

    @Test func `are what the process before hands over, where that says so`() throws {
        let names = ["gatehouse", PassedDescriptors.lockName, PassedDescriptors.channelName]
        let variables = ["LISTEN_PID": "20", "LISTEN_FDS": "3", "LISTEN_FDNAMES": names.joined(separator: ":")]
        #expect(try read(variables) == PassedDescriptors(names: names, areHandedOver: true))
    }

    @Test(arguments: [
        (["LISTEN_PID": "x"], #"LISTEN_PID is "x"; accepted is a process"#),
        (["LISTEN_PID": "20"], #"LISTEN_FDS is ""; accepted is a number from 0 to 1024"#),
        (["LISTEN_PID": "20", "LISTEN_FDS": "-1"], #"LISTEN_FDS is "-1"; accepted is a number from 0 to 1024"#),
        (["LISTEN_PID": "20", "LISTEN_FDS": "1025"], #"LISTEN_FDS is "1025"; accepted is a number from 0 to 1024"#),
        (
            ["LISTEN_PID": "20", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"],
            #"LISTEN_FDNAMES is "a:b"; accepted are 1 names with colons between them, by LISTEN_FDS"#
        ),
    ])
    func `are refused where that makes no sense`(_ variables: [String: String], _ message: String) {
        let failure = #expect(throws: UnfitDescriptor.self) { try read(variables) }
        #expect(failure?.description == message)
    }
}
