//! Causes of the end of the evaluating process.

/// Start of the standard library's message "memory allocation of 64 bytes failed".
const ALLOCATION: &str = "memory allocation of ";

/// Searches stderr for a crash message; returns the message's offset and the crash cause.
pub fn find_crash(text: &str) -> Option<(usize, &'static str)> {
    let out_of_memory = find_failed_allocation(text).map(|at| (at, "out of memory"));
    let overflow = find_stack_overflow(text).map(|at| (at, "stack overflow, most often caused by infinite recursion"));
    out_of_memory.into_iter().chain(overflow).min_by_key(|&(at, _)| at)
}

/// Returns whether a last line without its end may be the message about a failed allocation: the standard library writes its start, the
/// size and its end one after the other.
pub fn may_be_crash(line: &[u8]) -> bool {
    line.starts_with(ALLOCATION.as_bytes())
}

fn find_failed_allocation(text: &str) -> Option<usize> {
    let is_failure = |rest: &str| {
        let after_size = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after_size.len() < rest.len() && after_size.starts_with(" bytes failed")
    };
    text.match_indices(ALLOCATION).map(|(at, _)| at).find(|&at| {
        let starts_line = at == 0 || text[..at].ends_with('\n');
        starts_line && is_failure(&text[at + ALLOCATION.len()..])
    })
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
        let printed = "memory allocation of 3 MB for weights\nmemory allocation of  bytes failed\n";
        assert_eq!(find_crash(printed), None);
        let both = format!("{printed}memory allocation of 64 bytes failed\n");
        assert_eq!(find_crash(&both), Some((printed.len(), "out of memory")));
        let overflow =
            "\nthread 'main' (4711) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n";
        let cause = "stack overflow, most often caused by infinite recursion";
        assert_eq!(find_crash(overflow), Some((0, cause)));
        assert_eq!(find_crash(&format!("one\n{overflow}")), Some((4, cause)));
        assert_eq!(find_crash("it has overflowed its stack\n"), None);
    }
}
