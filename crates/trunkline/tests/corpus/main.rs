//! Runs every file of the fuzz corpus through its target, so that what fuzzing once found stays found.

#[path = "../../../../fuzz/src/lib.rs"]
pub mod targets;

use std::path::PathBuf;

#[test]
fn every_corpus_file_passes_its_target() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"));
    let mut broken = Vec::new();
    for (name, target) in targets::ALL {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 10, "{name} has only {} seeds", files.len());
        for file in files {
            let data = std::fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| target(&data)).is_err() {
                broken.push(file.strip_prefix(&folder).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new(), "each is explained above");
}

#[test]
fn every_target_has_a_corpus_and_nothing_else_does() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"));
    let mut corpora: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    corpora.sort();
    let mut targets: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(corpora, targets);
    assert!(targets::find("frames_sse").is_some() && targets::find("frames").is_none());
}

/// A poor man's fuzzing, without coverage: each seed with a few bytes changed, by a fixed generator, so that a failure
/// comes back. `CORPUS_ROUNDS=1000` looks further.
#[test]
fn changed_corpus_files_pass_too() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"));
    let rounds: u64 = std::env::var("CORPUS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut broken = Vec::new();
    for (name, target) in targets::ALL {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        for _ in 0..rounds {
            for seed in &seeds {
                let data = random.changed(seed, &seeds);
                if std::panic::catch_unwind(|| target(&data)).is_err() {
                    broken.push(format!("{name}: {:?}", String::from_utf8_lossy(&data)));
                }
            }
        }
    }
    broken.truncate(20);
    assert_eq!(broken, Vec::<String>::new(), "each is explained above");
}

/// Xorshift: enough for choosing bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % bound.max(1)
    }

    fn changed(&mut self, seed: &[u8], seeds: &[Vec<u8>]) -> Vec<u8> {
        const PIECES: [&[u8]; 16] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b":",
            b",",
            b"\\",
            b"\n\n",
            b"null",
            b"-1",
            b"1e99",
            b"\xff",
            "é".as_bytes(),
            b"data: ",
            b"true",
        ];
        let mut data = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(data.len() + 1);
            let end = (at + self.below(12)).min(data.len());
            match self.below(5) {
                0 => data.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied()).for_each(drop),
                1 => data.drain(at..end).for_each(drop),
                2 => {
                    let copy = data[at..end].to_vec();
                    data.splice(at..at, copy).for_each(drop);
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(200)).min(other.len());
                    data.splice(at..end, other[from..to].iter().copied()).for_each(drop);
                }
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte = PIECES[self.below(PIECES.len())][0];
                    }
                }
            }
        }
        data
    }
}
