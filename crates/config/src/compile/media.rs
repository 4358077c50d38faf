//! Files that clients name by URL: whether, from where and how much is fetched.

use crate::compile::Compiler;
use crate::compile::server::time;
use crate::file::File;
use crate::scalar;
use crate::snapshot::Media;
use trunkline_model::host::HostPattern;

/// Compiles the settings; mistakes leave the default.
pub(super) fn compile(file: &File, compiler: &mut Compiler<'_>) -> Media {
    let default = Media::default();
    let settings = file.media.clone().unwrap_or_default();
    let is_fetched = settings.fetch.unwrap_or(default.is_fetched);
    if !is_fetched {
        let others = [
            ("allow_hosts", !settings.allow_hosts.is_empty()),
            ("allow_private", !settings.allow_private.is_empty()),
            ("max_bytes", settings.max_bytes.is_some()),
            ("timeout", settings.timeout.is_some()),
        ];
        for (field, _) in others.into_iter().filter(|(_, given)| *given) {
            compiler.error(
                &["media", field],
                "this has no effect: `fetch` is false, so nothing is fetched",
                Some("take it out".to_owned()),
            );
        }
    }
    let allow_hosts = patterns("allow_hosts", &settings.allow_hosts, compiler);
    let allow_private = patterns("allow_private", &settings.allow_private, compiler);
    for (index, pattern) in allow_private.iter().enumerate() {
        // A wildcard is compared as the one host it cannot be, which is enough to see that it is under a listed domain.
        let example = pattern.to_string().replace('*', "host");
        if !allow_hosts.is_empty() && !allow_hosts.iter().any(|allowed| allowed.matches(&example)) {
            compiler.error(
                &["media", "allow_private", &index.to_string()],
                format!("this has no effect: `allow_hosts` does not list `{pattern}`"),
                Some("add it there too".to_owned()),
            );
        }
    }
    Media {
        is_fetched,
        allow_hosts,
        allow_private,
        max_bytes: compiler
            .read(&["media", "max_bytes"], settings.max_bytes.as_ref(), scalar::size)
            .unwrap_or(default.max_bytes),
        timeout: time(&["media", "timeout"], settings.timeout.as_ref(), 1, compiler)
            .unwrap_or(default.timeout),
    }
}

fn patterns(field: &str, texts: &[String], compiler: &mut Compiler<'_>) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let path = ["media", field, &index.to_string()];
        patterns.extend(compiler.read(&path, Some(text), HostPattern::parse));
    }
    patterns
}
