//! The shared files of AWS's tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Owns their form (sections, settings, comments) and how a profile says where its credential comes from. Must not read files.
//! Source: "Configuration and credential file settings" in AWS's SDK reference guide.

use std::collections::BTreeMap;

/// The settings of both files, by profile.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, BTreeMap<String, String>>);

/// Where a profile's credential comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// Keys that stand there.
    Keys { id: &'a str, secret: &'a str, session: Option<&'a str> },
    /// A role, taken on with the credential of another profile.
    Role { role: &'a str, source: &'a str, external: Option<&'a str>, session: Option<&'a str> },
    /// A role, taken on with the identity in a file.
    WebIdentity { role: &'a str, file: &'a str, session: Option<&'a str> },
    /// A way that is not supported here.
    Unsupported(&'static str),
    /// Nothing is said.
    Nothing,
}

impl Files {
    /// Adds what a file says; what an earlier one said of the same setting stays. In the config file all profiles but `default`
    /// are written `[profile NAME]`.
    pub(super) fn add(&mut self, text: &str) {
        let mut profile: Option<String> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                let words: Vec<&str> = header.split_whitespace().collect();
                profile = match words[..] {
                    ["profile", name] => Some(name.to_owned()),
                    [name] => Some(name.to_owned()),
                    // Other sections: `sso-session NAME`, `services NAME`.
                    _ => None,
                };
                continue;
            }
            // Indented lines belong to a nested setting.
            let nested = line.starts_with([' ', '\t']);
            if let (Some(profile), false, Some((name, value))) = (&profile, nested, trimmed.split_once('=')) {
                let settings = self.0.entry(profile.clone()).or_default();
                settings.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| value.trim().to_owned());
            }
        }
    }

    /// Whether a profile is there at all.
    pub(super) fn has(&self, profile: &str) -> bool {
        self.0.contains_key(profile)
    }

    /// Where a profile's credential comes from.
    pub(super) fn origin(&self, profile: &str) -> Origin<'_> {
        let Some(settings) = self.0.get(profile) else { return Origin::Nothing };
        let setting = |name: &str| settings.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let session = setting("role_session_name");
        if let Some(role) = setting("role_arn") {
            return match (setting("source_profile"), setting("web_identity_token_file")) {
                // A profile may name itself: then its own keys are the source.
                (Some(source), _) if source != profile => {
                    Origin::Role { role, source, external: setting("external_id"), session }
                }
                (None, Some(file)) => Origin::WebIdentity { role, file, session },
                _ => Origin::Unsupported("`role_arn` with `credential_source` or its own profile as source"),
            };
        }
        if let (Some(id), Some(secret)) = (setting("aws_access_key_id"), setting("aws_secret_access_key")) {
            return Origin::Keys { id, secret, session: setting("aws_session_token") };
        }
        if setting("sso_session").or_else(|| setting("sso_start_url")).is_some() {
            return Origin::Unsupported("single sign-on; run `aws configure export-credentials` for keys");
        }
        if setting("credential_process").is_some() {
            return Origin::Unsupported("`credential_process`");
        }
        Origin::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CREDENTIALS: &str = "# keys\n[default]\naws_access_key_id = AKID\naws_secret_access_key=se=cret\n\n\
        [temporary]\nAWS_ACCESS_KEY_ID = ASIA\naws_secret_access_key = s\naws_session_token = t\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\naws_access_key_id = ignored\n[profile role]\n\
        role_arn = arn:aws:iam::1:role/r\nsource_profile = default\nexternal_id = x\n\
        [profile web]\nrole_arn = arn:aws:iam::1:role/w\nweb_identity_token_file = /var/token\nrole_session_name = me\n\
        [profile sso]\nsso_session = corp\n[profile process]\ncredential_process = /bin/x\n\
        [sso-session corp]\nsso_region = us-east-1\n[profile empty]\ns3 =\n  aws_access_key_id = nested\n";

    #[test]
    fn both_files_are_one() {
        let mut files = Files::default();
        files.add(CREDENTIALS);
        files.add(CONFIG);
        assert_eq!(files.origin("default"), Origin::Keys { id: "AKID", secret: "se=cret", session: None });
        assert_eq!(files.origin("temporary"), Origin::Keys { id: "ASIA", secret: "s", session: Some("t") });
        let role = "arn:aws:iam::1:role/r";
        assert_eq!(
            files.origin("role"),
            Origin::Role { role, source: "default", external: Some("x"), session: None }
        );
        let role = "arn:aws:iam::1:role/w";
        assert_eq!(
            files.origin("web"),
            Origin::WebIdentity { role, file: "/var/token", session: Some("me") }
        );
        assert!(matches!(files.origin("sso"), Origin::Unsupported(_)));
        assert!(matches!(files.origin("process"), Origin::Unsupported(_)));
        assert_eq!((files.origin("empty"), files.origin("nobody")), (Origin::Nothing, Origin::Nothing));
        assert!(files.has("empty") && !files.has("nobody") && !files.has("corp"));
    }

    proptest! {
        #[test]
        fn no_text_crashes_the_reader(text in "(\\[|\\]|profile| |=|a|\n|#|\\PC){0,60}") {
            let mut files = Files::default();
            files.add(&text);
            let _ = files.origin("a");
        }
    }
}
