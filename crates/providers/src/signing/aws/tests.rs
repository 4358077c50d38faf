//! Which source settings and environment lead to.

use super::*;

fn environment<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn shown(settings: &CredentialSettings, set: &[(&str, &str)]) -> String {
    match signing("bedrock", settings, &environment(set)) {
        Ok(signing) => format!("{:?} {:?}", signing.scheme, signing.source),
        Err(mistake) => format!("{mistake:?}"),
    }
}

#[test]
fn settings_go_before_the_environment_and_keys_before_the_chain() {
    let region =
        |name: &str| CredentialSettings { region: Some(name.to_owned()), ..CredentialSettings::default() };
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    let stated = CredentialSettings {
        access_key: Some("AKID".to_owned()),
        secret_key: secret("s"),
        ..region("us-east-1")
    };
    let keys =
        [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_DEFAULT_REGION", "eu-west-1")];
    let everything = [
        ("AWS_REGION", "eu-west-1"),
        ("HOME", "/home/me"),
        ("AWS_PROFILE", "mine"),
        ("AWS_CONFIG_FILE", "/etc/aws"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not-shown"),
    ];
    let cases = [
        shown(&stated, &keys),
        shown(&CredentialSettings::default(), &keys),
        shown(&CredentialSettings { profile: Some("p".to_owned()), ..region("us-east-1") }, &keys),
        shown(&CredentialSettings::default(), &everything[..7]),
        shown(&region("us-east-1"), &[("AWS_EC2_METADATA_DISABLED", "TRUE")]),
        shown(&CredentialSettings::default(), &[]),
        shown(&region("US EAST"), &[]),
        shown(&CredentialSettings { secret_key: None, ..stated.clone() }, &[]),
        shown(&CredentialSettings { access_key: None, ..stated.clone() }, &[]),
        shown(&CredentialSettings { profile: Some("p".to_owned()), ..stated.clone() }, &[]),
        shown(&CredentialSettings { session_token: secret("t"), ..region("us-east-1") }, &[]),
    ];
    insta::assert_snapshot!(cases.join("\n"));
    let same = |one: &[(&str, &str)], two: &[(&str, &str)]| {
        let identity = |set| {
            let signing = signing("bedrock", &region("us-east-1"), &environment(set)).unwrap();
            signing.source.identity().to_owned()
        };
        identity(one) == identity(two)
    };
    assert!(same(&everything, &everything) && !same(&everything, &everything[..7]));
    let other = signing("bedrock", &region("eu-west-1"), &environment(&keys)).unwrap();
    let one = signing("bedrock", &stated, &environment(&keys)).unwrap();
    assert_ne!(one.source.identity(), other.source.identity());
    // A secret is not even in the source's description.
    assert!(!shown(&CredentialSettings::default(), &everything).contains("not-shown"));
}
