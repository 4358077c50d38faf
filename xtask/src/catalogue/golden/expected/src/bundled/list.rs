//! The bundled catalogue files, by provider. Made by `cargo xtask catalogue`; a test compares it with the folder.

/// Provider and text, sorted by provider.
#[rustfmt::skip]
pub(super) const ALL: &[(&str, &str)] = &[
    ("acme", include_str!("../../catalogue/acme.tsv")),
    ("depot", include_str!("../../catalogue/depot.tsv")),
];
