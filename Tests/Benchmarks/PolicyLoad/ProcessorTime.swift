import Foundation

/// User and system time so far.
enum ProcessorTime {
    /// Of all threads of a process. `schedstat` counts nanoseconds, where /proc/PID/stat counts ticks of 10 ms.
    static func nanoseconds(ofProcess pid: Int32) throws -> Int64 {
        let tasks = "/proc/\(pid)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { total, task in
            let text = try String(contentsOfFile: "\(tasks)/\(task)/schedstat", encoding: .utf8)
            return total + (text.split(separator: " ").first.flatMap { Int64($0) } ?? 0)
        }
    }

    /// Of the thread that asks.
    static func nanosecondsOfThisThread() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
