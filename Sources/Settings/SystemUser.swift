import CLinux

extension Form where Value == UInt32 {
    /// A user of this system, by the name that its user database knows when it is read, or by number.
    public static var systemUser: Form {
        // The last number is that of nobody at all: calls take it for "leave as it is" (chown(2)).
        Form(accepted: "the name of a user of this system, or a user's number from 0 to 4294967294") { text in
            guard !text.isEmpty, !text.utf8.contains(0) else { return nil }
            if text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
                return UInt32(text).flatMap { $0 < UInt32.max ? $0 : nil }
            }
            return unsafe UInt32(exactly: linux_user_number(text))
        }
    }
}
