//! Files that clients name by URL.

use crate::support::{errors, loaded};
use insta::assert_snapshot;
use std::time::Duration;

#[test]
fn settings_of_fetching_are_read() {
    let media = loaded("providers: { openai: {} }\nmedia: { allow_hosts: [\"*.example.com\", files.intranet], allow_private: [files.intranet], max_bytes: 5MB, timeout: 3s }\n").snapshot.server.media;
    assert!(media.is_fetched);
    assert_eq!((media.max_bytes, media.timeout), (5_000_000, Duration::from_secs(3)));
    assert!(
        media.allow_hosts[0].matches("a.example.com") && media.allow_private[0].matches("files.intranet")
    );
    assert!(!loaded("providers: { openai: {} }\nmedia: { fetch: false }\n").snapshot.server.media.is_fetched);
}

#[test]
fn mistakes_in_fetching_are_told() {
    assert_snapshot!(errors(
        "providers: { openai: {} }\nmedia:\n  allow_hosts: [\"https://example.com\", \"example.com:80\", \"a b\"]\n  max_bytes: lots\n  timeout: 10ms\n"
    ));
    assert_snapshot!(errors(
        "providers: { openai: {} }\nmedia: { allow_hosts: [example.com], allow_private: [files.intranet] }\n"
    ));
    assert_snapshot!(errors(
        "providers: { openai: {} }\nmedia: { fetch: false, allow_private: [files.intranet], timeout: 3s }\n"
    ));
}
