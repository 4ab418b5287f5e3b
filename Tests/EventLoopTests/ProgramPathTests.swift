import Testing

@testable import EventLoop

@Test(arguments: [
    ("/usr/bin/a", "a", "/usr/bin/a"), ("./a", "a", "/srv/./a"), ("bin/a", "./bin/a", "/srv/bin/a"), ("/dev/fd/7", "/usr/bin/a", "/usr/bin/a"),
    ("/dev/fd/7", "bin/a", "/srv/bin/a"), ("", "/usr/bin/a", "/usr/bin/a"),
])
func `a program is found by an absolute path, however it was started`(path: String, name: String, expected: String) {
    #expect(StartedProcess.absolutePath(of: path, name: name, in: "/srv") == expected)
}
