//! Causes of the end of the evaluating process.

/// Searches stderr for a crash message; returns the message's offset and the crash cause.
pub fn find_crash(text: &str) -> Option<(usize, &'static str)> {
    let starts_line = |at: &usize| *at == 0 || text[..*at].ends_with('\n');
    let out_of_memory = text.find("memory allocation of ").filter(starts_line).map(|at| (at, "out of memory"));
    let overflow = find_stack_overflow(text).map(|at| (at, "stack overflow, most often caused by infinite recursion"));
    out_of_memory.into_iter().chain(overflow).min_by_key(|&(at, _)| at)
}

/// Searches for the standard library's message "thread 'main' (4711) has overflowed its stack", which follows an empty line; returns the
/// offset of that line.
fn find_stack_overflow(text: &str) -> Option<usize> {
    let end = text.find(" has overflowed its stack")?;
    let line = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..].starts_with("thread '").then(|| line.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_message_is_found_at_the_start_of_a_line() {
        assert_eq!(find_crash("one\nmemory allocation of 8 bytes failed"), Some((4, "out of memory")));
        assert_eq!(find_crash("memory allocation of 64 bytes failed\n"), Some((0, "out of memory")));
        assert_eq!(find_crash("no memory allocation of 64 bytes\n"), None);
        assert_eq!(find_crash(""), None);
        let overflow =
            "\nthread 'main' (4711) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
        let cause = "stack overflow, most often caused by infinite recursion";
        assert_eq!(find_crash(overflow), Some((0, cause)));
        assert_eq!(find_crash(&format!("one\n{overflow}")), Some((4, cause)));
        assert_eq!(find_crash("it has overflowed its stack\n"), None);
    }
}
