import CLinux

/// The machine's clocks, read where time enters the program; everything below takes time as an argument.
public enum Clock {
    /// Nanoseconds since an arbitrary start; never goes back.
    public static func monotonicNanoseconds() -> Int64 { linux_clock_nanoseconds(CLOCK_MONOTONIC) }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    public static func unixMilliseconds() -> Int64 { linux_clock_nanoseconds(CLOCK_REALTIME) / 1_000_000 }
}
