import CLinux

/// How many processors this process may run on.
public enum ProcessorCount {
    /// At least 1. What `taskset`, a container's cpuset or `CPUAffinity=` leave: perhaps fewer than the machine has.
    public static var available: Int { max(Int(linux_processor_count()), 1) }
}
