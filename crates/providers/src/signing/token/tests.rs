//! Token sources, step by step, without a network.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use trunkline_model::credential::{Answer, Credential, Fetch, Step};

/// A key made for this test; its public half is beside it.
const KEY: &str = include_str!("test_key.pem");
const PUBLIC: &str = include_str!("test_key.public");

fn none(_: &str) -> Option<String> {
    None
}

fn steps(identity: &Identity, service: TokenService, answers: Vec<Answer>) -> Vec<Step> {
    let signing = signing(service, Some(identity), &none).unwrap().unwrap();
    let mut renewal = signing.source.renewal();
    std::iter::once(Answer::Start).chain(answers).map(|answer| renewal.next(answer, 1_000)).collect()
}

fn fetch(step: &Step) -> &Fetch {
    match step {
        Step::Fetch(fetch) => fetch,
        other => panic!("expected a request, found {other:?}"),
    }
}

fn granted() -> Answer {
    let body = json!({"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"});
    Answer::Response { status: 200, body: Secret::new(body.to_string()) }
}

fn token(step: &Step) -> (&str, Option<u64>) {
    match step {
        Step::Done(issued) => match &issued.credential {
            Credential::Token(token) => (token.expose(), issued.expires),
            other => panic!("expected a token, found {other:?}"),
        },
        other => panic!("expected an end, found {other:?}"),
    }
}

fn file(identity: &str) -> Identity {
    Identity { file: Some(identity.to_owned()), ..Identity::default() }
}

#[test]
fn a_service_account_signs_for_its_token() {
    let account = json!({"type": "service_account", "client_email": "robot@project.example", "private_key": KEY,
        "private_key_id": "k1", "token_uri": "https://token.example/token"});
    let told = steps(
        &file("/keys/a.json"),
        TokenService::Google,
        vec![Answer::File(Secret::new(account.to_string())), granted()],
    );
    assert!(matches!(&told[0], Step::Read(path) if path == "/keys/a.json"));
    let request = fetch(&told[1]);
    assert_eq!((request.method, request.url.as_str()), ("POST", "https://token.example/token"));
    let body = request.body.expose();
    let assertion = body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(
        read(claims),
        json!({"iss": "robot@project.example", "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": "https://token.example/token", "iat": 1_000, "exp": 4_600})
    );
    let public = STANDARD.decode(PUBLIC.trim()).unwrap();
    let verifier =
        ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
    verifier.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    assert_eq!(token(&told[2]), ("ya29.token", Some(4_599)));
}

#[test]
fn a_user_s_refresh_token_is_exchanged() {
    let user = json!({"type": "authorized_user", "client_id": "id", "client_secret": "s/1", "refresh_token": "1//r"});
    let told = steps(
        &file("/adc.json"),
        TokenService::Google,
        vec![Answer::File(Secret::new(user.to_string())), granted()],
    );
    let request = fetch(&told[1]);
    assert_eq!(request.url, "https://oauth2.googleapis.com/token");
    assert_eq!(
        request.body.expose(),
        "grant_type=refresh_token&client_id=id&client_secret=s%2F1&refresh_token=1%2F%2Fr"
    );
    assert_eq!(token(&told[2]).0, "ya29.token");
}

#[test]
fn without_a_file_the_machine_is_asked() {
    let home = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    let signing = signing(TokenService::Google, None, &home).unwrap().unwrap();
    let mut renewal = signing.source.renewal();
    let first = renewal.next(Answer::Start, 0);
    assert!(
        matches!(&first, Step::Read(path) if path == "/home/me/.config/gcloud/application_default_credentials.json")
    );
    let second = renewal.next(Answer::Unavailable("no such file".to_owned()), 0);
    let request = fetch(&second);
    insta::assert_snapshot!(request.url, @"http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(request.headers[0].0, "metadata-flavor");
    assert_eq!(token(&renewal.next(granted(), 0)), ("ya29.token", Some(3_599)));
}

#[test]
fn entra_takes_client_credentials_or_the_machine_s() {
    let client = Identity {
        tenant: Some("t".to_owned()),
        client_id: Some("c".to_owned()),
        client_secret: Some(Secret::new("s&1".to_owned())),
        ..Identity::default()
    };
    let told = steps(&client, TokenService::Entra, vec![granted()]);
    let request = fetch(&told[0]);
    assert_eq!(request.url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
    insta::assert_snapshot!(request.body.expose(), @"grant_type=client_credentials&client_id=c&client_secret=s%261&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default");
    assert_eq!(token(&told[1]).1, Some(4_599));
    let machine = Identity { machine: true, ..Identity::default() };
    let body = json!({"access_token": "t", "expires_in": "86399", "resource": "r"});
    let answer = Answer::Response { status: 200, body: Secret::new(body.to_string()) };
    let told = steps(&machine, TokenService::Entra, vec![answer]);
    insta::assert_snapshot!(fetch(&told[0]).url, @"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com");
    assert_eq!(token(&told[1]).1, Some(87_399));
}

#[test]
fn what_fails_is_told_without_secrets() {
    let refused = |status, body: &str| Answer::Response { status, body: Secret::new(body.to_owned()) };
    let account =
        json!({"type": "service_account", "client_email": "e", "private_key": "-----BEGIN SECRET-----"});
    let other = json!({"type": "external_account", "audience": "secret"});
    let as_file = |value: &Value| Answer::File(Secret::new(value.to_string()));
    let machine = Identity { machine: true, ..Identity::default() };
    let told = [
        steps(
            &file("/f"),
            TokenService::Google,
            vec![Answer::Unavailable("failed to read /f: gone".to_owned())],
        ),
        steps(&file("/f"), TokenService::Google, vec![Answer::File(Secret::new("secret".to_owned()))]),
        steps(&file("/f"), TokenService::Google, vec![as_file(&account)]),
        steps(&file("/f"), TokenService::Google, vec![as_file(&other)]),
        steps(
            &machine,
            TokenService::Entra,
            vec![refused(401, r#"{"error":"invalid_client","error_description":"secret"}"#)],
        ),
        steps(&machine, TokenService::Entra, vec![refused(500, "secret")]),
        steps(&machine, TokenService::Google, vec![refused(200, r#"{"secret":1}"#)]),
    ];
    let told: Vec<String> = told
        .iter()
        .map(|steps| match steps.last() {
            Some(Step::Failed(reason)) => reason.clone(),
            other => panic!("expected a failure, found {other:?}"),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    failed to read /f: gone
    the file with credentials is not one of a service account or a user
    the private key in the file with credentials is not an RSA key in PKCS #8
    the file with credentials is of another kind than service_account and authorized_user
    the token service refused with HTTP 401: invalid_client
    the token service refused with HTTP 500
    the token service answered something that is no token
    ");
}

#[test]
fn an_identity_that_cannot_be_used_is_named() {
    let told = |service, identity: Identity| match signing(service, Some(&identity), &none) {
        Err(error) => error.to_string(),
        Ok(found) => panic!("expected a mistake, found {found:?}"),
    };
    let tenant = Identity { tenant: Some("t".to_owned()), ..Identity::default() };
    insta::assert_snapshot!(told(TokenService::Google, tenant.clone()), @"obtain access tokens: `tenant` has no effect here");
    insta::assert_snapshot!(told(TokenService::Entra, tenant), @"obtain access tokens: `client_id` is missing");
    insta::assert_snapshot!(told(TokenService::Entra, file("/f")), @"obtain access tokens: `file` has no effect here");
    assert!(signing(TokenService::Entra, None, &none).unwrap().is_none());
}
