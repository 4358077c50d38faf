//! How many tests passed, failed and were skipped, read from what test runners print.
//!
//! Owns the reading of three forms: nextest's summary line, libtest's `test result` lines and the plain
//! `N passed, N failed` of our own scripts. It must not run anything. Text is read rather than a machine format
//! because libtest has no stable one.

use std::fmt;
use std::ops::AddAssign;

/// Numbers of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads nextest's `Summary [1.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped`.
pub(super) fn nextest(output: &str) -> Option<Count> {
    let line = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, counts) = line.split_once("run: ")?;
    Some(counted(counts))
}

/// Adds up libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, one line per test program.
pub(super) fn libtest(output: &str) -> Option<Count> {
    let mut total = None;
    for line in output.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
        *total.get_or_insert_with(Count::default) += counted(line);
    }
    total
}

/// Reads the last line of the form `N passed, N failed` or `N passed, N failed, N skipped`.
pub(super) fn script(output: &str) -> Option<Count> {
    let line = output.lines().rev().find(|line| line.contains(" passed, ") && line.contains(" failed"))?;
    Some(counted(line))
}

/// Adds up every `NUMBER WORD` of a line by its word.
fn counted(line: &str) -> Count {
    let mut count = Count::default();
    let words: Vec<&str> = line.split_whitespace().collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].trim_start_matches('(').parse::<u64>() else { continue };
        match pair[1].trim_end_matches([',', ';', ')', ':']) {
            "passed" => count.passed += number,
            // `timed` and `exec` are the first words of "timed out" and "exec failed".
            "failed" | "timed" | "exec" => count.failed += number,
            "skipped" | "ignored" => count.skipped += number,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: u64, failed: u64, skipped: u64) -> Option<Count> {
        Some(Count { passed, failed, skipped })
    }

    #[test]
    fn nextest_summaries_are_read_in_all_their_forms() {
        let plain = "  PASS a\n     Summary [   0.123s] 12 tests run: 12 passed, 0 skipped\n";
        assert_eq!(nextest(plain), count(12, 0, 0));
        let bad = "Summary [  61.2s] 9/20 tests run: 5 passed (1 slow, 1 leaky), 1 failed, 2 timed out, 1 exec failed, 3 skipped";
        assert_eq!(nextest(bad), count(5, 4, 3));
        assert_eq!(nextest("error: could not compile"), None);
    }

    #[test]
    fn libtest_results_add_up_over_programs() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(libtest(output), count(5, 1, 1));
        assert_eq!(libtest("no tests ran"), None);
    }

    #[test]
    fn the_last_line_of_a_script_counts() {
        assert_eq!(script("1 passed, 0 failed\nmore\n40 passed, 2 failed\n"), count(40, 2, 0));
        assert_eq!(script("40 passed, 2 failed, 3 skipped"), count(40, 2, 3));
        assert_eq!(script("Traceback"), None);
    }
}
