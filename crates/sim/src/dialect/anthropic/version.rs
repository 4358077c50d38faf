//! What a Claude model supports, by the version in its name.
//!
//! Owns the reading of names and the cut-offs: manual thinking budgets up to 4.6, adaptive thinking from 4.6, no
//! sampling parameters after 4.6 (SDK of 2026-08-19), no prefill from 4.6 ("Prefill not supported" in the error guide).

/// Major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

const OPUS_4_6: Version = Version(4, 6);

impl Version {
    /// Reads `claude-opus-4-6`, `claude-3-5-sonnet-20241022`, `claude-sonnet-5`; names without a version are new.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        // Numbers of more than two digits are dates.
        let numbers =
            name.split(['-', '.', '@']).filter(|part| part.len() <= 2).filter_map(|part| part.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        match numbers[..] {
            [] => Self(u32::MAX, 0),
            [major] => Self(major, 0),
            [major, minor, ..] => Self(major, minor),
        }
    }

    pub(super) fn manual_thinking(self) -> bool {
        self <= OPUS_4_6 && self >= Self(3, 7)
    }

    pub(super) fn adaptive_thinking(self) -> bool {
        self >= OPUS_4_6
    }

    pub(super) fn sampling(self) -> bool {
        self <= OPUS_4_6
    }

    /// From Opus 4.1 to 4.6 only one of temperature and top_p may be given.
    pub(super) fn one_sampling_parameter(self) -> bool {
        self >= Self(4, 1) && self <= OPUS_4_6
    }

    pub(super) fn prefill(self) -> bool {
        self < OPUS_4_6
    }

    pub(super) fn structured_output(self) -> bool {
        self >= Self(4, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        let names = [
            "claude-opus-4-6",
            "claude-3-5-sonnet-20241022",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-5",
        ];
        assert_eq!(names.map(Version::of), [Version(4, 6), Version(3, 5), Version(4, 5), Version(5, 0)]);
        assert_eq!(Version::of("claude-opus-4-20250514"), Version(4, 0));
        assert!(Version::of("claude-mythos-preview").adaptive_thinking());
    }
}
