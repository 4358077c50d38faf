//! The dialogue with each source, with the world's answers made up.

use super::*;

const NOW: u64 = 1_790_000_000;

/// Walks a chain: gives every step as text. `world` answers a step by its text.
fn walk(sources: Vec<Source>, world: &dyn Fn(&str) -> Answer) -> Vec<String> {
    let chain = Chain { identity: "chain".to_owned(), region: "eu-west-1".to_owned(), sources };
    let mut renewal = chain.renewal();
    let mut answer = Answer::Start;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let text = match renewal.next(answer, NOW) {
            Step::Read(path) => format!("read {path}"),
            Step::Fetch(fetch) => {
                let headers: Vec<String> =
                    fetch.headers.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
                format!("{} {} [{}] {}", fetch.method, fetch.url, headers.join(" "), fetch.body.expose())
            }
            Step::Done(Issued { credential: Credential::KeyPair { id, secret, session }, expires }) => {
                let session = session.as_ref().map(Secret::expose);
                seen.push(format!("done {id} {} {session:?} {expires:?}", secret.expose()));
                return seen;
            }
            Step::Done(other) => panic!("{other:?}"),
            Step::Failed(reason) => {
                seen.push(format!("failed: {reason}"));
                return seen;
            }
        };
        answer = world(&text);
        seen.push(text);
    }
    panic!("it does not end: {seen:?}");
}

fn file(text: &str) -> Answer {
    Answer::File(Secret::new(text.to_owned()))
}

fn response(status: u16, text: &str) -> Answer {
    Answer::Response { status, body: Secret::new(text.to_owned()) }
}

fn nothing(what: &str) -> Answer {
    Answer::Unavailable(format!("failed to get {}", what.split(' ').nth(1).unwrap_or_default()))
}

fn profile(name: &str) -> Source {
    Source::Profile { name: name.to_owned(), credentials: "/c".to_owned(), config: "/f".to_owned() }
}

fn instance() -> Source {
    Source::Instance { endpoint: "http://169.254.169.254".to_owned() }
}

const ROLE: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\n<AccessKeyId>ASIA</AccessKeyId>\n\
    <SecretAccessKey>s+/=</SecretAccessKey><SessionToken>t</SessionToken>\n\
    <Expiration>2026-09-21T15:13:20Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
const DOCUMENT: &str = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t","Expiration":"2026-09-21T15:13:20Z"}"#;

#[test]
fn every_source_gives_its_credential() {
    let web = Source::WebIdentity {
        file: "/token".to_owned(),
        role: "arn:aws:iam::1:role/w".to_owned(),
        session: None,
    };
    let container = |token: Option<&str>, file: Option<&str>| Source::Container {
        url: "http://169.254.170.2/v2/x".to_owned(),
        token: token.map(|token| Secret::new(token.to_owned())),
        token_file: file.map(str::to_owned),
    };
    let credentials = "[default]\naws_access_key_id=AKID\naws_secret_access_key=s\n";
    let config = "[profile role]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\nexternal_id=x y\n\
        [profile web]\nrole_arn=arn:aws:iam::1:role/w\nweb_identity_token_file=/token\nrole_session_name=me\n";
    let world = move |step: &str| match step.split(' ').nth(1).unwrap_or_default() {
        "/c" => file(credentials),
        "/f" => file(config),
        "/token" => file("eyJ.token\n"),
        "https://sts.eu-west-1.amazonaws.com/" => response(200, ROLE),
        "http://169.254.169.254/latest/api/token" => response(200, "imds-token"),
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/" => response(200, "my-role\n"),
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/my-role"
        | "http://169.254.170.2/v2/x" => response(200, DOCUMENT),
        _ => nothing(step),
    };
    let cases = [
        vec![web],
        vec![profile("default")],
        vec![profile("role")],
        vec![profile("web")],
        vec![container(None, Some("/token"))],
        vec![container(Some("secret"), None)],
        vec![instance()],
    ];
    let lines: Vec<String> = cases.into_iter().map(|sources| walk(sources, &world).join("\n")).collect();
    insta::assert_snapshot!(lines.join("\n\n"));
}

#[test]
fn sources_that_have_nothing_are_passed_over_and_told() {
    let all = || {
        vec![
            Source::WebIdentity { file: "/token".to_owned(), role: "r".to_owned(), session: None },
            profile("mine"),
            Source::Container { url: "http://169.254.170.2/v2/x".to_owned(), token: None, token_file: None },
            instance(),
        ]
    };
    let absent = |step: &str| nothing(step);
    let refused = |step: &str| {
        if step.starts_with("read /token") {
            file("t")
        } else if step.starts_with("read") {
            file("[mine]\nregion=x\n")
        } else if step.contains("sts.") {
            response(
                403,
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>",
            )
        } else if step.contains("170.2") {
            response(200, "not json")
        } else {
            response(404, "")
        }
    };
    let strange = |step: &str| match step {
        step if step.starts_with("read /token") => file("t"),
        step if step.starts_with("read") => file("[mine]\nsso_session = corp\n"),
        step if step.contains("sts.") => response(200, "<AccessKeyId>a</AccessKeyId>"),
        step if step.contains("170.2") => {
            response(200, r#"{"AccessKeyId":"a","SecretAccessKey":"b","Expiration":"soon"}"#)
        }
        _ => response(200, " \n"),
    };
    let worlds: [&dyn Fn(&str) -> Answer; 3] = [&absent, &refused, &strange];
    let lines: Vec<String> =
        worlds.iter().map(|world| walk(all(), world).pop().unwrap_or_default()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
